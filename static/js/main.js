// @ts-check
// Every page loads this: it binds each behaviour to its data-* attribute.
import { attachAll, behaviour } from "./lib/attach.js";
import * as age from "./lib/age.js";
import * as announce from "./lib/announce.js";
import * as dialog from "./lib/dialog.js";
import * as drawer from "./lib/drawer.js";
import * as filter from "./lib/filter.js";
import * as form from "./lib/form.js";
import * as hold from "./lib/hold.js";
import * as keys from "./lib/keys.js";
import * as live from "./lib/live.js";
import * as menu from "./lib/menu.js";
import * as palette from "./lib/palette.js";
import * as refresh from "./lib/refresh.js";
import * as timePicker from "./lib/time-picker.js";
import * as toast from "./lib/toast.js";

document.documentElement.classList.add("js");
behaviour("[data-age]", age.attach);
behaviour("[data-announcer]", announce.attach);
behaviour("[data-toasts]", toast.attach);
behaviour("[data-toast]", toast.attachOne);
behaviour("[data-copy]", toast.attachCopy);
behaviour("[data-menu]", menu.attach);
behaviour("[data-time-picker]", timePicker.attach);
behaviour("[data-fragment]", refresh.attach);
behaviour("[data-hold]", hold.attach);
behaviour("form[method='post']", form.attach);
behaviour("[data-filter]", filter.attach);
behaviour("[data-open], [data-page]", dialog.attachOpener);
behaviour("dialog", dialog.attach);
behaviour("[data-drawer]", drawer.attach);
behaviour("[data-palette]", palette.attach);
behaviour("body", keys.attach);
behaviour("[data-live]", live.attach);
attachAll(document);
