// Asks the service for something; what it refuses is said as it says it.

// With the parameter that is wrong as `field`, if it is one.
export class Refused extends Error {
  constructor({ detail, title, field = "" }) {
    super(detail ?? title ?? "The service refuses this.");
    this.field = field;
  }
}

// Gives the answer's JSON; sends `body` as JSON, if there is one. Throws Refused with words for whoever reads the page.
export async function ask(url, body) {
  const asked = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(url, asked).catch(() => {
    throw new Refused({ detail: "The service cannot be reached. Nothing was done; try again." });
  });
  const said = await answer.json().catch(() => ({ detail: `The service answers ${answer.status}.` }));
  if (!answer.ok) throw new Refused(said);
  return said;
}
