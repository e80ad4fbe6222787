"""What transformers' EarlyStoppingCallback and Trainer's best metric make of sequences of evaluation losses."""

import json
import random
from types import SimpleNamespace

from transformers import EarlyStoppingCallback, Trainer, TrainerState

random.seed(7)
with open("src/test/resources/golden/early-stopping.jsonl", "w") as out:
    for i in range(60):
        threshold = random.choice([0.0, 0.0, 0.01, 0.05])
        greater = random.random() < 0.25
        args = SimpleNamespace(
            greater_is_better=greater, metric_for_best_model="eval_loss", save_strategy="steps", output_dir="out"
        )
        callback = EarlyStoppingCallback(early_stopping_patience=1, early_stopping_threshold=threshold)
        state = TrainerState()
        trainer = SimpleNamespace(args=args, state=state, _get_output_dir=lambda trial: "out")
        losses, counts = [], []
        level = 2.0
        for _ in range(random.randint(2, 12)):
            # steps of a hundredth, so that equal values and differences near the threshold come up
            level += random.choice([-0.08, -0.05, -0.03, -0.01, 0.0, 0.01, 0.06])
            loss = round(level, 2)
            state.global_step += 1
            callback.check_metric_value(args, state, None, loss)
            Trainer._determine_best_metric(trainer, metrics={"eval_loss": loss}, trial=None)
            losses.append(loss)
            counts.append(callback.early_stopping_patience_counter)
        out.write(json.dumps({"threshold": threshold, "greater": greater, "losses": losses, "counts": counts}) + "\n")
