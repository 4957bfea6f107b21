// What can be done about an operation that is over: the failed items of a batch once more, a workflow from where it got to.

import { ask } from "./ask.js";
import { element } from "./elements.js";

const byId = (id) => document.getElementById(id);

const OFFERS = {
  batch: {
    says: "Do what is not done",
    helps: (status) => status !== "succeeded" || byId("items").querySelector("tbody tr") !== null,
    params: (id) => ({ retry: id }),
  },
  workflow: {
    says: "Resume",
    helps: (status) => status !== "succeeded",
    params: async (id) => ({ pipeline: await ask(`/api/operations/${id}/results/pipeline.json`), resume: id }),
  },
};

// Shows a button, once the operation is over, that starts its successor and goes there.
export function offerAgain(id, kind) {
  const offer = OFFERS[kind];
  if (!offer) return;
  const button = element("button", { type: "button", hidden: true, textContent: offer.says });
  byId("actions").append(button);
  button.addEventListener("click", async () => {
    button.disabled = true;
    byId("problem").textContent = "";
    try {
      const { operationId } = await ask("/api/operations", { kind, params: await offer.params(id) });
      location.assign(`/operations/${operationId}`);
    } catch (refused) {
      byId("problem").textContent = refused.message;
      button.disabled = false;
    }
  });
  const card = byId("operation");
  const decide = () => {
    const { status } = card.dataset;
    button.hidden = !["succeeded", "failed", "cancelled"].includes(status) || !offer.helps(status);
  };
  new MutationObserver(decide).observe(card, { attributeFilter: ["data-status"] });
  new MutationObserver(decide).observe(byId("items"), { childList: true, subtree: true });
  decide();
}
