"""What a recipe says about evaluation while it trains, as the trainer's own settings."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback

from siftline.train.recipe import Recipe

#: What the best checkpoint is chosen by, where the recipe names nothing else.
BEST = "ndcg@10"

#: Steps between two checkpoints where the recipe says nothing, as in transformers.
STEPS = 500


def evaluation_settings(recipe: Recipe) -> dict[str, Any]:
    """Arguments for `transformers.TrainingArguments` that the recipe implies.

    With `eval_data` the student is measured whenever it is saved; with `early_stopping_patience`
    the best checkpoint is the one that stays.
    """
    if not recipe.eval_data and recipe.early_stopping_patience is None:
        return {}
    given = recipe.arguments
    strategy = given.get("save_strategy", "steps")
    settings: dict[str, Any] = {
        "eval_strategy": "steps" if strategy == "no" else strategy,
        "eval_steps": given.get("save_steps", STEPS),
    }
    if recipe.early_stopping_patience is not None:
        settings |= {
            # the best checkpoint can only be one that was saved
            "save_steps": given.get("eval_steps", STEPS),
            "load_best_model_at_end": True,
            "metric_for_best_model": BEST,
            "greater_is_better": True,
            # the number of evaluations without progress outlives a kill
            "restore_callback_states_from_checkpoint": True,
        }
    return settings


def early_stopping(recipe: Recipe) -> list[Any]:
    """The callback that ends a training which no longer gets better, if it is asked for."""
    if recipe.early_stopping_patience is None:
        return []
    return [EndWithoutProgress(recipe.early_stopping_patience, recipe.early_stopping_threshold)]


class EndWithoutProgress(EarlyStoppingCallback):
    """Early stopping of transformers; a run that had stopped and goes on stops again."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
        """Stop at once where patience had ended before the run was killed."""
        super().on_train_begin(args, state, control, **named)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
