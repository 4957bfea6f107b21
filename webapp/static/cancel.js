// The button that cancels: asks once more, with room for a reason, then says what came of it.

import { ask } from "./ask.js";

const byId = (id) => document.getElementById(id);

export function askToCancel(id) {
  const button = byId("cancel");
  const sure = byId("sure");
  button.addEventListener("click", () => {
    sure.returnValue = "no";
    sure.showModal();
  });
  sure.addEventListener("close", async () => {
    if (sure.returnValue !== "yes") return;
    const reason = byId("reason").value.trim();
    button.disabled = true;
    byId("problem").textContent = "";
    try {
      await ask(`/api/operations/${id}/cancel`, reason ? { reason } : {});
    } catch (refused) {
      byId("problem").textContent = refused.message;
      button.disabled = false;
    }
  });
}
