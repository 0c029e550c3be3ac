// @ts-check
// The topology page: the map beside its table.
import { attachAll, behaviour } from "../lib/attach.js";
import { attach } from "../lib/map/map.js";

behaviour("[data-map]", attach);
attachAll(document);
