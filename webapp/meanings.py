"""What the codes of errors mean to whoever waits, and what can be done: for pages and their scripts. Pure."""

from typing import Final

MEANINGS: Final = {
    "failed": "The task raised an error. Its worker's log has the rest, under this id.",
    "cancelled": "Somebody asked for it. What it had done until then may stand.",
    "timeout": "It took longer than its time limit. Give it less to do at once, or a higher limit.",
    "worker_lost": "The process that worked on it died, or was cut off. It can be started again.",
    "rejected": "The worker refused the task.",
    "expired": "It was not begun, or not finished, before its time was over. Start it again.",
    "unknown_task": "No worker knows this task: the workers and who sent it run different code.",
    "not_started": "It could not be handed to a worker. Try again in a while.",
    "id_reused": "Another task was started under the same id, and took its place.",
    "incomplete": "Some of the workflow's tasks were never sent.",
    "not_run": "It needs steps that did not finish. Resume the workflow when they can.",
    "step_failed": "See the step that failed. What is finished is not done again when it is resumed.",
    "browser:step_failed": "The page did not do what the script expected. The last picture shows it.",
    "step_timeout": "The page did not get there in time. Give the step longer, or wait for something else.",
    "host_refused": "The session may only visit the hosts that TIDINGS_BROWSER_HOSTS names.",
    "page_crashed": "The page brought its process down. It may do better with less on it.",
    "download": "Sessions download nothing.",
    "no_browser": "The worker found no Chromium. Install one there, or name it in CHROMIUM.",
    "no_upload": "The upload was not finished, or is not kept any more. Upload the file again.",
    "no_batch": "That batch is not kept any more. Start a new one from its source.",
    "no_table": "The file has no header row in UTF-8 that could be read.",
    "too_many_items": "A batch takes 100,000 items at most. Divide the file, or set a limit.",
    "taken_over": "Another batch was started to do the rest, while this one ran.",
    "wrong_checksum": "The file that came is not the one that was announced. Upload it again.",
    "wrong_size": "The file that came is not as long as was announced. Upload it again.",
    "not_there": "The file was deleted before its turn came.",
    "step_limit": "The agent used up its steps. Ask for less at once, or allow more.",
    "agent_timeout": "The agent used up its time. Ask for less at once, or allow more.",
    "model_misbehaved": "The model's answers could not be used. Asking again may help.",
    "provider_error": "The model's provider refused or could not be reached. Its status is in the details.",
    "unknown_workflow": "The workflow that was to be resumed is not kept any more.",
    "": "This is the task's own reason. Mend what it names, or try again; its worker's log may say more.",
}
"""By ``<kind>:<code>`` where a kind has its own meaning of a code, by the code, or by "" for any other."""


def meaning(kind: str, code: str) -> str:
    """Say what *code* means for an operation of *kind*; of an author's own code, what can be said of any."""
    return MEANINGS.get(f"{kind}:{code}") or MEANINGS.get(code) or MEANINGS[""]
