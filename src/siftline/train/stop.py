"""Ctrl-C between two steps: a checkpoint, and how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback

from siftline.train.objective import processes

#: Ctrl-C, and what a scheduler sends before it kills.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopBetweenSteps(TrainerCallback):
    """Ends a training behind the step at which it was asked to, with a checkpoint.

    It ends with KeyboardInterrupt, whose text says at which step. With several processes all stop
    at the same step as soon as one is asked.
    """

    def __init__(self) -> None:
        self.asked = False
        self._stopped = False

    def ask(self, *_: Any) -> None:
        """Stop behind the present step; asked again, at once."""
        if self.asked:
            raise KeyboardInterrupt("stopped within a step")
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask the trainer to save and to stop."""
        if _any_process(self.asked) and state.global_step < state.max_steps:
            self._stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the training, unless it ended by itself."""
        if self._stopped:
            raise KeyboardInterrupt(
                f"stopped at step {state.global_step} of {state.max_steps}, saved as "
                f"{args.output_dir}/checkpoint-{state.global_step}"
            )


def _any_process(asked: bool) -> bool:
    if processes() == 1:
        return asked
    flag = torch.tensor(int(asked))
    if torch.distributed.get_backend() == "nccl":
        flag = flag.cuda()
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)


@contextmanager
def stopping_between_steps() -> Iterator[StopBetweenSteps]:
    """The callback, asked by Ctrl-C and SIGTERM while the block runs."""
    stop = StopBetweenSteps()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread is told of signals
        return
    before = {number: signal.signal(number, stop.ask) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
