"""Where no token is asked for, the service answers to its machine's names, not to what else leads to it."""

import pytest
from flask import Flask

from webapp.origins import Caller, Origins
from webapp.own_names import PROBES, OwnNames, install

NAMES = OwnNames(any_will_do=False, origins=Origins.parse("https://app.example, http://dev.example:3000"))
OURS = (
    "localhost", "LOCALHOST:8000", "app.localhost:80", "127.0.0.1", "127.9.9.9:8000", "[::1]", "[::1]:8000",
    "", "app.example", "dev.example:3000",
)  # fmt: skip
OTHERS = (
    "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost",
    "127.0.0.1evil.example", "localhost:80@evil.example", "localhost:", "10.0.0.1", "[::2]", "dev.example",
    "app.example:8000", "192.0.2.1:80", "localhost\nevil.example", "evil.example,localhost",
)  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_the_machines_own_names_and_those_of_named_origins_are_taken(host: str) -> None:
    """And what says no name, as no browser would."""
    assert not NAMES.refuses(Caller(host=host))


@pytest.mark.parametrize("host", OTHERS)
def test_a_name_that_leads_here_is_refused(host: str) -> None:
    """Even where its page is of our origin, by all that its browser says."""
    assert NAMES.refuses(Caller(f"http://{host}", "same-origin", "cors", host))


def test_where_tokens_are_asked_for_any_name_will_do() -> None:
    """A public service has whichever names its owner gives it."""
    assert not NAMES._replace(any_will_do=True).refuses(Caller(host="tidings.example"))


def test_all_but_the_probes_is_kept_from_another_name() -> None:
    """Pages and the API alike; who asks how the service is may find it by any name."""
    app = Flask("any", static_folder=None)
    install(app, NAMES)
    for path in ("/", "/api/operations", *PROBES):
        app.add_url_rule(path, path, lambda: "said")
    client = app.test_client()
    answers = {
        path: client.get(path, headers={"Host": "evil.example"}).status_code
        for path in ("/", "/api/operations")
    }
    assert {*answers.values()} == {403}
    assert all(client.get(path, headers={"Host": "evil.example"}).status_code == 200 for path in PROBES)
    said = client.get("/", headers={"Host": "evil.example"}).get_json()
    assert "Host" in said["detail"]
    assert "localhost" in said["detail"]
