"""The agent kind on the whole stack: offline, and with a provider's client on a server that misbehaves."""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from dev.redis_server import RedisServer
from tests.http_stream import post_json
from tests.model_provider import ModelProvider, model_provider
from tests.stack import READ_S, ROOT, Stack, logged

KEY: Final = "canary-of-a-provider-key"
ASKED: Final[dict[str, dict[str, Any]]] = {
    "question": {"prompt": "Where is `class Operation:` defined?", "offline": True},
    "sum": {"prompt": "What is (17 + 4) * 2?", "offline": True},
    "tool error": {"prompt": "What is 1 / 0 ?", "offline": True},
    "answer": {"prompt": "answer with the key"},
    "loop": {"prompt": "loop for ever", "steps": 3},
    "refused": {"prompt": "refuse canary-of-a-prompt"},
    "hung": {"prompt": "hang", "timeout": 2},
}


class Asked(NamedTuple):
    """A stack with a provider, and the agents that run on it."""

    stack: Stack
    provider: ModelProvider
    agents: dict[str, str]

    def told(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """Give all that was told on an agent's own topic, once it is over."""
        with self.stack.stream(f"/api/events/agents/{self.agents.get(name, name)}?history=all") as stream:
            messages = logged(
                stream.read_until(lambda message: message.type in {"complete", "error"}, READ_S)
            )
        return [(message.type, json.loads(message.data)) for message in messages]


@pytest.fixture(scope="module")
def asked(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """All agents on their way, two at a time."""
    folder = tmp_path_factory.mktemp("agent")
    with (
        model_provider() as provider,
        Stack(
            redis_server.url,
            folder,
            web=1,
            TIDINGS_NAMESPACE="agent",
            OPENAI_API_KEY=KEY,
            OPENAI_BASE_URL=provider.url,
            TIDINGS_AGENT_MODEL="openai-chat:gpt-5-mini",
        ) as stack,
    ):
        yield Asked(
            stack,
            provider,
            {name: stack.start_operation("agent", **params) for name, params in ASKED.items()},
        )


def said(told: list[tuple[str, dict[str, Any]]], *types: str) -> list[dict[str, Any]]:
    """Give the details of what AG-UI calls *types*."""
    found = [event["details"] for event_type, event in told if event_type == "status" and "details" in event]
    return [details for details in found if details.get("type") in types]


def test_a_question_is_answered_from_what_the_tools_found(asked: Asked) -> None:
    """Offline: each call with arguments and result, then the answer as it is written, and it is right."""
    told = asked.told("question")
    calls = said(told, "TOOL_CALL_START")
    (written,) = said(told, "TEXT_MESSAGE_START")
    text = "".join(details["delta"] for details in said(told, "TEXT_MESSAGE_CONTENT"))
    end_type, end = told[-1]

    assert [call["toolCallName"] for call in calls] == ["search_repository", "read_file"]
    assert json.loads(said(told, "TOOL_CALL_ARGS")[0]["delta"]) == {"text": "class Operation:"}
    results = said(told, "TOOL_CALL_RESULT")
    assert [result["toolCallId"] for result in results] == [call["toolCallId"] for call in calls]
    source = (ROOT / "tidings/operation.py").read_text(encoding="utf-8").splitlines()
    place = f"tidings/operation.py:{source.index('class Operation:') + 1}"
    assert place in text
    assert end_type == "complete"
    assert end["agentId"] == asked.agents["question"]
    assert (end["result"]["answer"], end["result"]["model"]) == (text, "offline")
    ends = said(told, "TEXT_MESSAGE_END")
    assert [details["messageId"] for details in ends] == [written["messageId"]]


def test_a_sum_is_computed(asked: Asked) -> None:
    """By the tool."""
    assert asked.told("sum")[-1][1]["result"]["answer"] == "It comes to: 42"


def test_a_tools_error_is_a_warning_and_the_run_goes_on(asked: Asked) -> None:
    """The model hears of it."""
    told = asked.told("tool error")
    (warning,) = [event for event_type, event in told if event_type == "warning"]
    assert warning["code"] == "tool_error"
    assert "division by zero" in warning["message"]
    assert "division by zero" in told[-1][1]["result"]["answer"]


def test_with_a_key_the_provider_answers_and_the_key_is_shown_to_nobody_else(asked: Asked) -> None:
    """Not even where the model writes it, in pieces."""
    told = asked.told("answer")
    text = "".join(details["delta"] for details in said(told, "TEXT_MESSAGE_CONTENT"))
    assert text == "The key is *** and no more."
    assert told[-1][1]["result"]["answer"] == text
    assert f"Bearer {KEY}" in asked.provider.keys


@pytest.mark.parametrize(
    ("name", "code"), [("loop", "step_limit"), ("refused", "provider_error"), ("hung", "agent_timeout")]
)
def test_what_a_run_cannot_go_on_from_is_its_one_end(asked: Asked, name: str, code: str) -> None:
    """By a code of its own."""
    told = asked.told(name)
    ends = [event for event_type, event in told if event_type in {"error", "complete"}]
    assert [(end["code"], end["terminal"]) for end in ends] == [(code, True)]


def test_an_agent_is_cancelled_in_the_middle_of_its_answer(asked: Asked) -> None:
    """What it had written by then is told, with its end."""
    agent = asked.stack.start_operation("agent", prompt="stall", timeout=100)
    with asked.stack.stream(f"/api/events/agents/{agent}?history=all") as stream:
        stream.read_until(lambda message: "TEXT_MESSAGE_CONTENT" in message.data, READ_S)
    assert post_json(f"{asked.stack.url}/api/operations/{agent}/cancel", {}).status == 202
    told = asked.told(agent)
    assert told[-1][1]["code"] == "cancelled"
    assert said(told, "TEXT_MESSAGE_END")


def test_no_secret_is_in_any_event_or_log(asked: Asked) -> None:
    """Neither the key, nor the prompt that a provider's answer repeats."""
    for name in asked.agents:
        assert "canary" not in json.dumps(asked.told(name))
    assert "canary" not in asked.stack.output("worker") + asked.stack.output("web")
