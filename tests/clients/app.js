// A page of somebody who has installed the client from npm and bundles it: React and the element, side by side.

import { createElement } from "react";
import { createRoot } from "react-dom/client";
import "tidings-client/progress";
import { useOperation } from "tidings-client/react";

function Import({ id }) {
  const { connection, progress, warnings, complete } = useOperation(id);
  const parts = [connection, progress?.percentage, warnings.length, complete ? "complete" : "open"];
  return createElement("p", { id: "hook" }, parts.join(" "));
}

export function show(id) {
  document.body.innerHTML = `<tidings-progress operation="${id}" label="Import"></tidings-progress><div id="root"></div>`;
  createRoot(document.getElementById("root")).render(createElement(Import, { id }));
}
