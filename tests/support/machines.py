"""How state machines are run: so many examples as the profile and the machine's share of it say, and bounded in CI."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_machine(machine: type[RuleBasedStateMachine], share: float, steps: float = 1.0, **attributes: Any) -> None:
    """Run random sequences of a machine's rules.

    In CI a failure is told as it was found: shrinking one of some hundred steps takes minutes, and whoever mends it
    runs the test again at home.

    Args:
        share: Of the profile's examples; a machine whose steps are dear runs fewer.
        steps: Times those of the profile.
        attributes: Set on the class.
    """
    profile = settings.get_profile(os.environ.get("ENTREPOT_TEST_PROFILE", "default"))
    phases = [Phase.explicit, Phase.generate] if profile.derandomize else list(profile.phases)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        type(machine.__name__, (machine,), attributes),
        settings=settings(
            profile,
            max_examples=max(2, int(profile.max_examples * share)),
            stateful_step_count=int(profile.stateful_step_count * steps),
            phases=phases,
            report_multiple_bugs=False,
        ),
    )
