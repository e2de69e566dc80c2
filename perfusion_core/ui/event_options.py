"""What the event listeners of all rooms have in common.

A listener answers with a dictionary of the components that change; the others of its outputs stay as they
are. `gr.skip()` changes nothing at all.
"""

from __future__ import annotations

from typing import Any

Updates = dict[Any, Any]

# No event may be called by name, and none covers its outputs with Gradio's own spinner.
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# Outside the queue: answered at once, whatever else is being worked on.
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}
# Every click counts: by itself Gradio drops one made while an earlier one of the same listener is under way.
# ("always_last" is nothing for clicks that say what was clicked: it repeats the earlier one.)
EACH: dict[str, Any] = {"trigger_mode": "multiple"}
# The same, answered in the order of the clicks.
EACH_IN_TURN: dict[str, Any] = {**QUIET, **EACH, "concurrency_limit": 1}
