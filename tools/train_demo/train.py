"""Trains a stage of the model on one GPU. Stops after --minutes and goes on from its checkpoint when it is run again.

    python train.py mix tokens.npz MIX_FOLDER [--minutes 8]
    python train.py stories tokens.npz STORIES_FOLDER --start MIX_FOLDER/checkpoint.pt [--minutes 8]

The folder receives log.jsonl (the losses) and checkpoint.pt: the weights in float16 and the step, saved with each line of
the log, so that a stage that was killed goes on as well. The optimizers' averages are not kept, since some dozen steps bring them back.
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from chats import KINDS
from data import READINGS, Corpus
from model import Decoder, Shape

SHAPE = Shape(layers=12, width=256, heads=4, kv_heads=2, ffn=768)
ROWS_PER_STEP = 64
WARM_UP_STEPS = 100
DECAY_SHARE = 0.6  # of all steps, at the end, in which the learning rate falls to zero
LEARNING_RATE = {"mix": 4e-3, "stories": 1.5e-3}  # the highest of each stage
WEIGHT_DECAY = 0.1
DROPOUT = {"mix": 0.1, "stories": 0.0}
SEED = 1


def make_optimizers(model):
    """Muon for the layers' matrices, AdamW for the embedding and the norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim == 1 or "embed" in name]
    common = {"lr": 0.0, "weight_decay": WEIGHT_DECAY}
    return [
        torch.optim.Muon(matrices, momentum=0.95, adjust_lr_fn="match_rms_adamw", **common),
        torch.optim.AdamW(others, betas=(0.9, 0.95), fused=others[0].is_cuda, **common),
    ]


def learning_rate_factor(step, steps, resumed_at):
    warm_up = min(1.0, (step + 1 - resumed_at) / WARM_UP_STEPS)
    return warm_up * min(1.0, (steps - step) / (DECAY_SHARE * steps))


def loss_of(model, rows):
    """Mean cross entropy of each row's tokens after the first."""
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


class Trainer:
    def __init__(self, stage, tokens, folder, start, minutes):
        self.stage, self.folder, self.minutes = stage, folder, minutes
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(SEED)
        torch.set_float32_matmul_precision("high")
        self.model = Decoder(SHAPE, DROPOUT[stage]).to(self.device)
        corpus = Corpus(tokens)
        self.rows = corpus.training_rows(stage, SHAPE.context, SEED)
        self.held_out = {kind: corpus.held_out_rows(kind, SHAPE.context) for kind in KINDS}
        self.steps = len(self.rows) // ROWS_PER_STEP
        self.started_at = self.restore(start)
        self.optimizers = make_optimizers(self.model)
        self.loss = torch.compile(loss_of) if self.device == "cuda" else loss_of

    @property
    def checkpoint(self):
        return self.folder / "checkpoint.pt"

    def restore(self, start):
        """Loads this stage's own checkpoint, else the one to start from; returns the first step to do."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.checkpoint if self.checkpoint.exists() else start
        if path is None:
            return 0
        saved = torch.load(path, map_location=self.device)
        self.model.load_state_dict(saved["weights"])
        return saved["step"] if path == self.checkpoint else 0

    def save(self, step):
        weights = {name: value.half() for name, value in self.model.state_dict().items()}
        unfinished = self.checkpoint.with_suffix(".tmp")
        torch.save({"weights": weights, "step": step, "shape": asdict(SHAPE)}, unfinished)
        unfinished.replace(self.checkpoint)

    def batch(self, rows):
        tokens = torch.from_numpy(rows.astype(np.int64))
        return tokens.pin_memory().to(self.device, non_blocking=True) if self.device == "cuda" else tokens

    def train_step(self, step):
        first = step * ROWS_PER_STEP
        factor = learning_rate_factor(step, self.steps, self.started_at)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE[self.stage] * factor
        with torch.autocast(self.device, torch.bfloat16):
            loss = self.loss(self.model, self.batch(self.rows[first : first + ROWS_PER_STEP]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    @torch.no_grad()
    def held_out_losses(self):
        """Of each kind, in float32."""
        self.model.eval()
        losses = {}
        for kind, rows in self.held_out.items():
            batches = [rows[i : i + 32] for i in range(0, len(rows), 32)]
            sums = [loss_of(self.model, self.batch(part)).item() * len(part) for part in batches]
            losses[kind] = round(sum(sums) / len(rows), 4)
        self.model.train()
        return losses

    def report(self, step, train, seconds):
        assert math.isfinite(train), step
        tokens = step * ROWS_PER_STEP * SHAPE.context
        entry = {"step": step, "tokens": tokens, "seconds": round(seconds, 1), "train": round(train, 4)}
        line = json.dumps(entry | {"held_out": self.held_out_losses()})
        print(line, flush=True)
        with open(self.folder / "log.jsonl", "a") as log:
            log.write(line + "\n")

    def run(self):
        began, smooth = time.time(), []
        step = self.started_at
        every = 72
        while step < self.steps and time.time() - began < 60 * self.minutes:
            smooth.append(self.train_step(step))
            step += 1
            if step % every == 0 or step == self.steps:
                self.save(step)
                self.report(step, torch.stack(smooth).mean().item(), time.time() - began)
                smooth = []
        self.save(step)
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        print(f"step {step} of {self.steps}; {parameters} parameters")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=READINGS)
    parser.add_argument("tokens")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--minutes", type=float, default=8)
    Trainer(**vars(parser.parse_args())).run()
