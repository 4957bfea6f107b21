// Puts a token into the session's cookie, which the service sets and no script reads.

const form = document.getElementById("sign-in");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = form.querySelector(".problem");
  problem.textContent = "";
  const headers = { Authorization: `Bearer ${form.querySelector("#token").value.trim()}` };
  const answer = await fetch("/api/session", { method: "POST", headers }).catch(() => undefined);
  if (answer?.ok) location.reload();
  else problem.textContent = answer ? "This token is not good." : "The service cannot be reached.";
});
