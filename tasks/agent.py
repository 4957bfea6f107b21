"""The agent kind: a model that uses tools until it has an answer, told as it happens.

What is told is named as AG-UI names it, so that front ends which know those events can show ours: the
``type`` in each status' ``details``. Reported on ``agents/<id>`` like any operation of kind ``agent``. No
event and no log has a secret of the environment in it.
"""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tasks import cancellable
from tasks.agent_model import offline_model
from tasks.agent_tools import Repository, ToolError, compute
from tasks.celery import app, settings
from tasks.masking import Mask, Trickle
from tasks.running import running
from tidings import Failure, Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai import Agent
    from pydantic_ai.messages import AgentStreamEvent, ToolCallPart, ToolReturnPart

T = TypeVar("T")

ROOT: Final = Path(__file__).parent.parent
INSTRUCTIONS: Final = (
    "Answer the question about the source code of this repository, briefly. "
    "Look things up with the tools instead of guessing, and name files and lines."
)
TEXT_S: Final = 0.1
"""Text that is being written is told so often: it reads as typed, and ten events a second are cheap."""
MAX_CHARS: Final = 4_000
"""Of a tool's result or of arguments in one event; of the answer in the result. Guessed."""


@app.task(name="tasks.agent", tidings_kind="agent")
def run_agent(prompt: str, steps: int, timeout: float, *, offline: bool) -> dict[str, Any]:
    """Answer *prompt* with at most *steps* requests to the model, within *timeout* seconds.

    Returns the answer, the model's name, and how many steps and tokens it took.
    """
    operation = running()
    model = "" if offline else settings.agent_model
    return cancellable.run(_answer(prompt, steps, timeout, operation, model), operation)


async def _answer(
    prompt: str, max_steps: int, timeout_s: float, operation: Operation, model: str
) -> dict[str, Any]:
    from pydantic_ai import Agent, UsageLimits, exceptions  # noqa: PLC0415 - heavy

    mask = Mask(settings.secrets)
    shown = model or "offline"
    teller = Teller(operation, mask)
    teller.say("thinking", "RUN_STARTED", threadId=operation.id, runId=operation.id, model=shown)
    try:
        async with asyncio.timeout(timeout_s):
            agent = Agent(model or offline_model(), instructions=INSTRUCTIONS, retries=2)
            _equip(agent)
            limits = UsageLimits(request_limit=max_steps)
            async with agent.run_stream_events(prompt, usage_limits=limits) as events:
                async for event in events:
                    if event.event_kind == "agent_run_result":
                        result = event.result
                    else:
                        teller.hear(event)
    except exceptions.UsageLimitExceeded:
        raise Failure("step_limit", f"There was no answer after {max_steps} steps.") from None
    except TimeoutError:
        raise Failure("agent_timeout", f"There was no answer within {timeout_s:g} s.") from None
    except exceptions.UnexpectedModelBehavior as error:
        raise Failure("model_misbehaved", mask.text(str(error))[:MAX_CHARS]) from None
    except (exceptions.ModelAPIError, exceptions.UserError, ImportError) as error:
        # Not its text, nor as a cause: a provider's answer may repeat the key or the prompt.
        status = getattr(error, "status_code", None)
        message = f"{shown}: {type(error).__name__}" + (f", status {status}" if status else "")
        raise Failure("provider_error", message, {"httpStatus": status} if status else None) from None
    finally:
        teller.flush()
    usage = result.usage
    return {
        "answer": mask.text(result.output)[:MAX_CHARS],
        "model": shown,
        "steps": usage.requests,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
    }


def _equip(agent: "Agent[None, str]") -> None:
    """Give the agent its tools; the docstrings are what the model reads."""
    repository = Repository(ROOT)

    @agent.tool_plain
    def search_repository(text: str) -> list[str]:
        """Find a text in the repository's source and documents, as path:line: text."""
        return _tried(lambda: repository.search(text))

    @agent.tool_plain
    def read_file(path: str, first_line: int = 1) -> str:
        """Read up to 80 lines of a file of the repository."""
        return _tried(lambda: repository.read(path, first_line))

    @agent.tool_plain(name="compute")
    def compute_expression(expression: str) -> str:
        """Work out an arithmetic expression."""
        return _tried(lambda: compute(expression))


def _tried(tool: "Callable[[], T]") -> T:
    from pydantic_ai.exceptions import ToolFailed  # noqa: PLC0415 - heavy

    try:
        return tool()
    except ToolError as error:
        raise ToolFailed(str(error)) from None


class Teller:
    """Tells of one run in AG-UI's words; in the run's event loop alone."""

    def __init__(self, operation: Operation, mask: Mask) -> None:
        self._operation = operation
        self._mask = mask
        self._steps = 0
        self._messages = 0
        self._message_id = ""
        self._text = Trickle(mask)
        self._told_at = 0.0

    def say(self, status: str, event: str, **details: Any) -> None:
        """Tell an AG-UI *event* as a status."""
        self._operation.status(status, {"type": event} | details)

    def hear(self, event: "AgentStreamEvent") -> None:
        """Tell what an event of the library says."""
        match event.event_kind:
            case "part_start" if event.part.part_kind == "text":
                self._begin_text(event.part.content)
            case "part_delta" if event.delta.part_delta_kind == "text":
                self._add(event.delta.content_delta)
            case "part_end" if event.part.part_kind == "text":
                self.flush()
            case "function_tool_call":
                self._call(event.part)
            case "function_tool_result":
                self._result(event.part)
            case _:
                return

    def flush(self) -> None:
        """Tell the rest of the text that is being written, and its end, if there is one."""
        if self._message_id:
            self._tell_text(is_over=True)
            self.say("answering", "TEXT_MESSAGE_END", messageId=self._message_id)
            self._message_id = ""

    def _begin_text(self, text: str) -> None:
        self.flush()
        self._messages += 1
        self._message_id = f"{self._operation.id}-{self._messages}"
        self.say("answering", "TEXT_MESSAGE_START", messageId=self._message_id, role="assistant")
        self._add(text)

    def _add(self, text: str) -> None:
        self._text.add(text)
        if time.monotonic() - self._told_at >= TEXT_S:
            self._tell_text()

    def _tell_text(self, *, is_over: bool = False) -> None:
        text = self._text.take(is_over=is_over)
        if text:
            self._told_at = time.monotonic()
            self.say("answering", "TEXT_MESSAGE_CONTENT", messageId=self._message_id, delta=text)

    def _call(self, part: "ToolCallPart") -> None:
        self._steps += 1
        self._operation.progress(self._steps, None, part.tool_name)
        status, call = f"calling {part.tool_name}"[:100], {"toolCallId": part.tool_call_id}
        self.say(status, "TOOL_CALL_START", **call, toolCallName=part.tool_name)
        self.say(status, "TOOL_CALL_ARGS", **call, delta=self._cut(part.args_as_json_str()))
        self.say(status, "TOOL_CALL_END", **call)

    def _result(self, part: "ToolReturnPart") -> None:
        content = self._cut(part.model_response_str())
        if part.outcome != "success":
            details = {"toolCallId": part.tool_call_id, "toolCallName": part.tool_name}
            self._operation.warning("tool_error", content, details)
        self.say(
            "thinking", "TOOL_CALL_RESULT",
            messageId=f"{part.tool_call_id}-result", toolCallId=part.tool_call_id, role="tool",
            content=content,
        )  # fmt: skip

    def _cut(self, text: str) -> str:
        return self._mask.text(text)[:MAX_CHARS]
