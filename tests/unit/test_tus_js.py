"""The page's sender of files without a page: on what a service and a network may do to it."""

from typing import Any

from tests.in_node import in_node

SERVICE = """
// A service that has `held`, and does what `given.does` says with each request, one after the other.
const asked = [];
const waited = [];
let held = new Uint8Array(given.held ?? []);
const does = [...(given.does ?? [])];
const answer = (status, headers = {}, body = "{}") =>
  new Response(status === 204 ? null : body, { status, headers });
let sender;
async function fetch(url, { method, headers, body, signal }) {
  const what = does.shift() ?? "";
  const offset = headers["Upload-Offset"];
  asked.push(method + (offset === undefined ? "" : ` ${offset}`) + (method === "POST" ? "" : ` ${url}`));
  if (what === "pause") sender.pause();
  if (signal?.aborted) throw new DOMException("", "AbortError");
  if (what === "away") throw new TypeError("Failed to fetch");
  if (typeof what === "object") return answer(what.status, {}, JSON.stringify(what));
  if (what) return answer(Number(what));
  if (method === "POST") {
    given.said = headers["Upload-Metadata"];
    return answer(201, { Location: "/up/1", "Upload-Offset": "0" });
  }
  if (method === "PATCH") held = new Uint8Array([...held, ...new Uint8Array(await body.arrayBuffer())]);
  return answer(method === "HEAD" ? 200 : 204, { "Upload-Offset": String(held.length) });
}
const file = new File([new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])], "a.csv");
const states = [];
const options = {
  fetch, chunkBytes: 4, url: given.url, metadata: () => ({ filename: given.name ?? "a.csv" }),
  wait: async (ms) => { waited.push(ms); },
  changed: ({ state }) => states.at(-1) !== state && states.push(state),
};
const unreadable = { size: 10, slice: () => ({ arrayBuffer() { throw Error(); } }) };
sender = new page.Sender(given.unreadable ? unreadable : file, options);
"""
RUN = f"""
{SERVICE}
await sender.run();
const first = {{ state: sender.state, problem: sender.trouble?.message, field: sender.trouble?.field }};
if (given.again) await sender.run();
return {{ asked, held: [...held], states, waited, first, state: sender.state, said: given.said }};
"""
WHOLE = list(range(1, 11))


def sent(**given: Any) -> dict[str, Any]:
    """Have a file of ten bytes sent, four at a time; give what was asked for, what came of it, and how."""
    (found,) = in_node("tus.js", RUN, [given])
    assert isinstance(found, dict)
    return found


def test_a_file_is_created_and_sent_in_chunks() -> None:
    """What is said of it is text in any script."""
    found = sent(name="Übersicht ✓.csv")
    assert found["asked"] == ["POST", "PATCH 0 /up/1", "PATCH 4 /up/1", "PATCH 8 /up/1"]
    assert (found["held"], found["states"]) == (WHOLE, ["sending", "whole"])
    assert found["said"] == "filename w5xiZXJzaWNodCDinJMuY3N2"


def test_what_may_pass_is_tried_again_from_where_the_service_says() -> None:
    """Away, writing for somebody else, at another offset, or broken; the pauses grow until something came."""
    found = sent(does=["503", "", "", "away", "away", "423", "", "409", "", "500", ""])
    assert found["asked"] == [
        "POST", "POST", "PATCH 0 /up/1", "PATCH 4 /up/1", "HEAD /up/1", "HEAD /up/1", "HEAD /up/1",
        "PATCH 4 /up/1", "HEAD /up/1", "PATCH 4 /up/1", "HEAD /up/1", "PATCH 4 /up/1", "PATCH 8 /up/1",
    ]  # fmt: skip
    assert found["held"] == WHOLE
    limits = [500, 500, 1_000, 2_000, 4_000, 8_000]
    assert len(found["waited"]) == len(limits)
    assert all(most / 2 <= ms <= most for ms, most in zip(found["waited"], limits, strict=True))
    assert set(found["states"]) == {"sending", "retrying", "whole"}


def test_a_paused_file_goes_on_from_what_had_come() -> None:
    """The request in flight is given up; what the service has is asked first."""
    found = sent(does=["", "", "pause"], again=True)
    assert found["first"]["state"] == "paused"
    assert found["asked"] == [
        "POST", "PATCH 0 /up/1", "PATCH 4 /up/1", "HEAD /up/1", "PATCH 4 /up/1", "PATCH 8 /up/1",
    ]  # fmt: skip
    assert found["held"] == WHOLE


def test_a_file_that_was_begun_earlier_goes_on() -> None:
    """One that the service has no more is begun anew."""
    assert sent(url="/up/0", held=[1, 2, 3])["asked"] == ["HEAD /up/0", "PATCH 3 /up/0", "PATCH 7 /up/0"]
    gone = sent(url="/up/0", does=["410"])
    assert gone["asked"][:3] == ["HEAD /up/0", "POST", "PATCH 0 /up/1"]
    assert gone["state"] == "whole"


def test_what_will_not_pass_is_the_end_with_its_reason() -> None:
    """Refused, too large, no room, or a file that cannot be read: nothing is tried again by itself."""
    refused = sent(does=[{"status": 400, "detail": "no such kind", "field": "Upload-Metadata.then.kind"}])
    assert refused["first"] == {
        "state": "failed", "problem": "no such kind", "field": "Upload-Metadata.then.kind"
    }  # fmt: skip
    assert (refused["asked"], refused["waited"]) == (["POST"], [])
    for status in (413, 507):
        assert sent(does=[{"status": status, "detail": "full"}])["first"]["problem"] == "full"
    assert "Choose it again" in sent(does=["", "away"], unreadable=True)["first"]["problem"]


def test_a_file_that_went_away_may_be_begun_anew() -> None:
    """By whoever tries again."""
    found = sent(does=["", "", "404", "404"], again=True)
    assert found["first"]["problem"] == "The service has it no more."
    assert (found["state"], found["asked"][4]) == ("whole", "POST")


CANCELLED = f"""
{SERVICE}
const running = sender.run();
await sender.cancel();
await running;
return [asked, sender.state];
"""


def test_a_file_that_is_cancelled_while_it_is_created_is_deleted() -> None:
    """Nobody else would know of it; that the service has it no more is no problem."""
    deleted = [["POST", "DELETE /up/1"], "paused"]
    assert in_node("tus.js", CANCELLED, [{}, {"does": ["", "404"]}]) == [deleted, deleted]
