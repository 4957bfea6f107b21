// What a browser session does: where it went, each step of its script, its pictures.

import { element, fileLink, isFile } from "./elements.js";

const WIDTH = 1024;
const HEIGHT = 640;

export class Session {
  #section;
  #list;

  constructor(section) {
    this.#section = section;
    this.#list = section.querySelector("ol");
  }

  clear() {
    this.#list.replaceChildren();
    this.#section.hidden = true;
  }

  hear({ type, status, details }) {
    if (type !== "status" || !details) return;
    if (status === "navigated") this.#add("navigated", details.url);
    else if (typeof details.step === "number") this.#step(details);
  }

  #step({ step, action, selector, url, httpStatus, text, name, result }) {
    const what = [selector, url, name, text].filter((each) => typeof each === "string").join(" · ");
    const answer = typeof httpStatus === "number" ? `answered ${httpStatus}` : "";
    const item = this.#add(`${step}. ${action}`, [what, answer].filter(Boolean).join(" · "));
    if (isFile(result?.url)) item.append(this.#picture(result));
  }

  #picture({ url, name }) {
    const picture = element("img", { src: url, alt: `Screenshot ${name}`, width: WIDTH, height: HEIGHT, loading: "lazy" });
    return element("figure", {}, fileLink(url, picture), element("figcaption", { className: "quiet" }, name));
  }

  #add(what, more) {
    this.#section.hidden = false;
    const item = element("li", {}, element("strong", {}, what), " ", element("span", { className: "quiet" }, more));
    this.#list.append(item);
    return item;
  }
}
