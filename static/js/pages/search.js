// @ts-check
// The search page: results follow the typing.
import { attach } from "../lib/filter.js";

const form = document.querySelector("main form[role='search']");
if (form instanceof HTMLFormElement) attach(form);
