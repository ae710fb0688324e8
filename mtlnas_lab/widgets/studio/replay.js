// The page of a recorded run: the studio, and the run in the page.
import {bytesFrom, modelOf} from "./model.js";
import {render} from "./studio.js";

const data = JSON.parse(document.getElementById("data").textContent);
const state = {...data, frame: bytesFrom(data.frame), tail: bytesFrom(""), other: bytesFrom(data.other), at: -1, pinned: -1};
render({model: modelOf(state), el: document.getElementById("studio")});
