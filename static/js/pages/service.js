// @ts-check
// The pages of a service or node: charts.
import { attachAll, behaviour } from "../lib/attach.js";
import { attach } from "../lib/chart.js";

behaviour("[data-chart]", attach);
attachAll(document);
