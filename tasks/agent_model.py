"""The model that an agent thinks with where no provider's key is there: the library's own, driven by rules.

It uses the tools for real, as a provider's model would: searches, reads what it found, computes, and answers
from that. It knows nothing by itself. Pure but for the library that it is made for.
"""

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic_ai.messages import ModelMessage, ToolReturnPart
    from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

_SUM: Final = re.compile(r"[\d(][\d\s.()+*/%-]*[+*/%-][\d\s.()+*/%-]*[\d)]")
_QUOTED: Final = re.compile(r"[`\"']([^`\"']{2,80})[`\"']")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{2,}")
_FOUND: Final = re.compile(r"(?P<path>[^:\s]+):(?P<line>\d+): (?P<text>.*)")
_COMMON: Final = frozenset(
    {"where", "what", "which", "does", "that", "this", "with", "from", "the", "and", "for", "are", "how"}
    | {"who", "when", "why", "find", "show", "tell", "about", "defined"}
)
_WORDS: Final = re.compile(r"\S+\s*")


def offline_model() -> "FunctionModel":
    """Make the model."""
    from pydantic_ai.models.function import FunctionModel  # noqa: PLC0415 - heavy

    return FunctionModel(stream_function=_respond, model_name="offline")


async def _respond(
    messages: "list[ModelMessage]", _: "AgentInfo"
) -> "AsyncIterator[str | dict[int, DeltaToolCall]]":
    from pydantic_ai.models.function import DeltaToolCall  # noqa: PLC0415 - heavy

    action = next_action(_prompt(messages), _returns(messages))
    if isinstance(action, str):
        for word in _WORDS.findall(action):
            yield word
    else:
        name, arguments = action
        yield {0: DeltaToolCall(name, json.dumps(arguments))}


def next_action(prompt: str, seen: list[tuple[str, str]]) -> str | tuple[str, dict[str, Any]]:
    """Give the answer, or a tool and its arguments, after what the tools have said: name and text of each."""
    if expression := _SUM.search(prompt):
        said = _last(seen, "compute")
        return ("compute", {"expression": expression[0].strip()}) if said is None else f"It comes to: {said}"
    wanted = subject(prompt)
    hits = _last(seen, "search_repository")
    if hits is None:
        return "search_repository", {"text": wanted}
    found = [hit for hit in map(_FOUND.fullmatch, _lines(hits)) if hit]
    if not found:
        return f"Nothing in the repository mentions {wanted}."
    best = min(found, key=lambda hit: not re.match(r"(class|def|async def) ", hit["text"]))
    read = _last(seen, "read_file")
    if read is None:
        return "read_file", {"path": best["path"], "first_line": int(best["line"])}
    first = "\n".join(read.splitlines()[:5])
    return (
        f"{wanted} is in {len(found)} places; the first to read is {best['path']}:{best['line']}:\n\n{first}"
    )


def subject(prompt: str) -> str:
    """Give what a question is about: what is quoted in it, else its longest word that says something."""
    if quoted := _QUOTED.search(prompt):
        return quoted[1]
    words = [word.rstrip(".") for word in _WORD.findall(prompt) if word.lower() not in _COMMON]
    return max(words, key=len, default=prompt[:80])


def _lines(hits: str) -> list[str]:
    try:
        found = json.loads(hits)
    except ValueError:
        return hits.splitlines()
    return found if isinstance(found, list) else []


def _last(seen: list[tuple[str, str]], tool: str) -> str | None:
    return next((text for name, text in reversed(seen) if name == tool), None)


def _prompt(messages: "list[ModelMessage]") -> str:
    parts = (part for message in messages for part in message.parts if part.part_kind == "user-prompt")
    return next((part.content for part in parts if isinstance(part.content, str)), "")


def _returns(messages: "list[ModelMessage]") -> list[tuple[str, str]]:
    parts: list[ToolReturnPart] = [
        part for message in messages for part in message.parts if part.part_kind == "tool-return"
    ]
    return [(part.tool_name, part.model_response_str()) for part in parts]
