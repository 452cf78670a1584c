"""Bad invocations of every command, and what each must say.

``python tests/hostile/bad_input.py`` prints the table; :func:`rows` gives it to other scripts.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import world
from click.testing import CliRunner, Result

from fsgan_bench.cli.main import main

LONGEST = 700
"""Characters of the longest sentence, without the paths in it."""

INTERNAL = ("Traceback", "Errno", "NoneType", "object has no", "pydantic", "__", "0x", "Exception")
"""Words of Python's that no user should have to read."""

RUN = "run --methods tgan --target ink"
OWN = "run --methods tgan --target t"
PRETRAIN = "pretrain --data faces --out out"
INIT = "data init new.toml --source W/good.safetensors"
GOOD = "W/images/good"

INVOCATIONS: Mapping[str, str] = {
    # Names and options of run.
    "run --methods dlc --target sketches": "Did you mean 'dcl'?",
    "run --methods , --target sketches": "--methods names no method",
    "run --methods '' --target sketches": "--methods names no method",
    "run --methods all --target sketchs": "Did you mean 'sketches'?",
    "run --methods all --target ,": "--target names no target",
    "run --methods '\x1b[31mred' --target ink": "There is no method",
    "run --methods tgan": "Missing option '--target'",
    "run --target ink": "Missing option '--methods'",
    "runn --methods tgan": "No such command 'runn'",
    f"{RUN} --itertions 5": "--iterations",
    f"{RUN} extra": "unexpected extra argument",
    f"{RUN} --suite avatar": "Did you mean 'avatars'?",
    f"{RUN} --suite missing.toml": "There is no suite file missing.toml",
    f"{RUN} --suite ''": "There is no suite ''",
    f"{RUN} --budget quik": "Did you mean 'quick'?",
    f"{RUN} --set nonsense": "--set takes METHOD.KEY=VALUE",
    f"{RUN} --set tgan=1": "--set takes METHOD.KEY=VALUE",
    f"{RUN} --set =": "--set takes METHOD.KEY=VALUE",
    f"{RUN} --set tgan.foo=1": "tgan has no setting 'foo'; it has no settings",
    f"{RUN} --set cdc.tau=1": "the method 'cdc' is not in this run",
    "run --methods dcl --target ink --set dcl.tau=warm": "dcl.tau",
    "run --methods dcl --target ink --set dcl.tau=": "dcl.tau",
    "run --methods dcl --target ink --set dcl.tau=nan": "dcl.tau",
    "run --methods dcl --target ink --set dcl.tau=1e999": "dcl.tau",
    "run --methods dcl --target ink --set dcl.tau=1 --set dcl.tau=2": "--set dcl.tau=1,2",
    "run --methods dcl --target ink --set dcl.tau=1,1.0": "--set gives dcl.tau=1.0 twice",
    "run --methods dcl --target ink --set dcl.taw=1": "Did you mean 'tau'?",
    f"{RUN} --seeds 1,1": "--seeds names a seed twice",
    f"{RUN} --seeds 0-2,1": "--seeds names a seed twice",
    f"{RUN} --seeds 3-1": "'3-1' counts down; write 1-3",
    f"{RUN} --seeds 0-5000": "is not a range of at most 1,000 seeds",
    f"{RUN} --seeds x": "is not a list of seeds",
    f"{RUN} --seeds ''": "is not a list of seeds",
    f"{RUN} --seeds=-1": "is not a list of seeds",
    f"{RUN} --seeds 99999999999999999999": "is not a list of seeds",
    f"{RUN} --seeds \u0661": "is not a list of seeds",
    f"{RUN} --shots 0": "--shots",
    f"{RUN} --shots -3": "--shots",
    f"{RUN} --shots 1.5": "--shots",
    f"{RUN} --shots 1000000000": "--shots",
    f"{RUN} --iterations 0": "--iterations",
    f"{RUN} --iterations -5": "--iterations",
    f"{RUN} --iterations 1000000000000": "--iterations",
    f"{RUN} --snapshots 1": "--snapshots",
    f"{RUN} --snapshots 100000": "--snapshots",
    f"{RUN} --jobs 0": "--jobs",
    f"{RUN} --device gpu": "--device must be cpu or cuda[:N]",
    f"{RUN} --device cuda:99": "this machine has no such GPU",
    f"{RUN} --device cuda:-1": "--device must be cpu or cuda[:N]",
    f"{RUN} --device cuda:{'9' * 5000}": "--device must be cpu or cuda[:N]",
    f"{RUN} --precision fp8": "'fp8' is not one of 'fp32', 'bf16', 'fp16'",
    f"{RUN} --precision fp16": "--precision fp16 needs a GPU",
    f"{RUN} --accumulate 0": "--accumulate",
    f"{RUN} --accumulate 3": "does not divide the batch of 4 images",
    "run --methods tgan,dcl --target ink --accumulate 2": (
        "--accumulate: micro-batches may change what 'dcl' computes"
    ),
    f"{RUN} --suite W/suites/good.toml --out W/a-file": "W/a-file is a file",
    f"{RUN} --suite W/suites/good.toml --out W/a-file/below": "W/a-file is a file",
    f"{RUN} --suite W/suites/good.toml --out W/loop": "W/loop is a link to nothing",
    f"{RUN} --suite ffhq --data nowhere": "no target 'ink' in the suite 'ffhq'",
    "run --methods tgan --target sketches --suite ffhq --data nowhere": "lacks its source model",
    "run --methods tgan --target sketches --suite ffhq --data W/a-file": "lacks its source model",
    # Plugins.
    f"{RUN} --plugin nowhere.py": "There is no plugin file nowhere.py",
    f"{RUN} --plugin W/plugins": "There is no plugin file",
    "run --methods mine --target ink --plugin W/plugins/syntax.py": "syntax.py, line 1",
    "list methods --plugin nowhere.py": "There is no plugin file",
    "list methods --plugin W/plugins/syntax.py": "syntax.py, line 1",
    "list methods --plugin W/plugins/import.py": "line 1: ModuleNotFoundError",
    "list methods --plugin W/plugins/nothing.py": "defines no method",
    "list methods --plugin W/plugins/exits.py": "line 2: it calls sys.exit(0)",
    "list methods --plugin W/plugins/nameless.py": "lacks the class attribute(s) title, version",
    "list methods --plugin W/plugins/number.py": "must be a text without blanks around it, not 3",
    "list methods --plugin W/plugins/outside.py": "'../mine' cannot be the name of a method",
    "list methods --plugin W/plugins/taken.py": "'tgan'",
    "list methods --plugin W/plugins/text.txt": "its name must end in .py",
    "list methods --plugin W/plugins/binary.py": "binary.py",
    # Lists.
    "list": "Say what to list: methods, settings, targets",
    "list method": "methods",
    "list targets --suite ffhg": "Did you mean 'ffhq'?",
    "list targets --suite W/suites/empty.toml": "empty.toml lacks",
    "list targets --suite W/suites/folder.toml": "Is a directory",
    # Figures.
    "figures": "Missing argument",
    "figures nowhere": "nowhere does not exist",
    "figures W/a-folder": "There are no runs in",
    "figures W/a-file": "a-file is a file",
    "figures W/loop": "loop",
    "figures W/results/good --out W/a-file": "W/a-file is a file",
    "figures W/results/task-text": "task.json is not valid JSON",
    "figures W/results/task-list": "task.json must be a JSON object",
    "figures W/results/task-empty": "'suite' is missing",
    "figures W/results/task-shots": "task.json is not a task's description",
    "figures W/results/task-resolution": "task.json is not a task's description",
    "figures W/results/task-protocol": "task.json is not a task's description",
    "figures W/results/task-outside": "task.json is not a task's description",
    "figures W/results/task-deep": "task.json is not valid JSON",
    "figures W/results/task-missing": "task.json is missing",
    "figures W/results/task-folder": "task.json",
    "figures W/results/cell-text": "cell.json is not valid JSON",
    "figures W/results/cell-empty": "cell.json is not a run's description",
    "figures W/results/cell-seed": "cell.json is not a run's description",
    "figures W/results/cell-outside": "cell.json is not a run's description",
    "figures W/results/cell-absolute": "cell.json is not a run's description",
    "figures W/results/cell-deep": "cell.json is not valid JSON",
    "figures W/results/scores-text": "scores.jsonl, line 1, is not valid JSON",
    "figures W/results/scores-list": "line 1, must be a JSON object",
    "figures W/results/scores-lack": "'metric' is missing",
    "figures W/results/scores-huge": "scores.jsonl, line 1, is not",
    "figures W/results/scores-clusters": "line 1, is not a score",
    "figures W/results/scores-deep": "line 1, is not valid JSON",
    "figures W/results/scores-folder": "scores.jsonl",
    "figures W/results/strip-text": "strip",
    "figures W/results/strip-size": "8 x 2 tiles of 4 pixels make 32 x 8",
    "figures W/results/unscored": "There is no finished and scored run",
    # Pretraining.
    "pretrain --data facs --out out": "Did you mean 'faces'?",
    "pretrain --data faces --out out --stage drawn=5": "There is no stage 'drawn'",
    "pretrain --data faces --out out --stage coarse": "needs a number of iterations",
    "pretrain --data faces --out out --stage coarse=0": "needs a number of iterations",
    "pretrain --data ink --out out --stage coarse=5": "whose attributes are known",
    "pretrain --data W/images/gone --out out": "W/images/gone does not exist",
    "pretrain --data W/images/empty --out out": "holds no image",
    "pretrain --data W/images/image.png --out out": "is a file",
    "pretrain --data W/images/broken.zip --out out": "cannot be read as a zip archive",
    f"pretrain --data {GOOD} --out out --held-out 5000": "too few to keep 5000 of them",
    f"{PRETRAIN} --channels 8,x": "--channels",
    f"{PRETRAIN} --channels ''": "--channels",
    f"{PRETRAIN} --channels 8,8,8,8,-1": "--channels",
    f"{PRETRAIN} --channels 1000000000000,8,8,8,8": "--channels",
    f"{PRETRAIN} --resolution 48": "power of two",
    f"{PRETRAIN} --resolution 0": "--resolution",
    f"{PRETRAIN} --resolution -64": "--resolution",
    f"{PRETRAIN} --resolution 1073741824": "--resolution",
    f"{PRETRAIN} --learning-rate nan": "--learning-rate",
    f"{PRETRAIN} --learning-rate -1": "--learning-rate",
    f"{PRETRAIN} --learning-rate inf": "--learning-rate",
    f"{PRETRAIN} --r1-gamma -1": "--r1-gamma",
    f"{PRETRAIN} --ema-half-life 0": "--ema-half-life",
    f"{PRETRAIN} --images 1": "--images",
    f"{PRETRAIN} --images 100000000000": "--images",
    f"{PRETRAIN} --held-out 100000000000": "--held-out",
    f"{PRETRAIN} --batch 0": "--batch",
    f"{PRETRAIN} --batch 1000000000000": "--batch",
    f"{PRETRAIN} --iterations 0": "--iterations",
    f"{PRETRAIN} --seed -1": "--seed",
    f"{PRETRAIN} --seed 100000000000000000000000": "--seed",
    f"{PRETRAIN} --threads 0": "--threads",
    f"{PRETRAIN} --style-dim 1000000000000": "--style-dim",
    f"{PRETRAIN} --mapping-layers 1000000000000": "--mapping-layers",
    f"{PRETRAIN} --init nowhere.pt": "There is no model at nowhere.pt",
    f"{PRETRAIN} --init W/good.safetensors": "another shape",
    f"{PRETRAIN} --init W/models/bomb.pt": "was refused and nothing in it was run",
    "pretrain --data faces --out W/a-file": "W/a-file is a file",
    # Conversion.
    "convert": "Missing argument",
    "convert nowhere.pt out.safetensors": "There is no model at nowhere.pt",
    "convert W/a-folder out.pt": "is a folder",
    "convert W/good.safetensors out.ckpt": "must end in .pt or .safetensors",
    "convert W/good.safetensors out": "must end in .pt or .safetensors",
    "convert W/good.safetensors out.pkl": "not ours to write",
    "convert W/good.safetensors W/good.safetensors": "exists already",
    "convert W/good.safetensors W/a-file/out.pt": "W/a-file is a file",
    "convert W/loop out.pt": "loop",
    "convert W/models/bomb.pt out.safetensors": "was refused and nothing in it was run",
    "convert W/models/bomb.pkl out.safetensors": "was refused and nothing in it was run",
    "convert W/results/good/s/t-4shot/tgan/seed0-00000000 out.pt": "stores no snapshots",
    "convert W/results/good/s/t-4shot/tgan/seed0-00000000 out.pkl": "not ours to write",
    "convert W/results/cell-text/s/t-4shot/tgan/seed0-00000000 out.pt": "is not valid JSON",
    "convert W/good.safetensors out.pt --iteration 3": "is no folder of a cell",
    # The contract.
    "check": "Missing argument",
    "check dlc": "Did you mean 'dcl'?",
    "check ,": "names no method",
    "check mine --plugin nowhere.py": "There is no plugin file",
    # New methods.
    "new-method Mine": "cannot be a method's name",
    "new-method ''": "cannot be a method's name",
    "new-method ../mine": "cannot be a method's name",
    "new-method class": "cannot be a method's name",
    "new-method méthode": "cannot be a method's name",
    f"new-method {'m' * 41}": "cannot be a method's name",
    "new-method tgan": "already taken by fsgan-bench",
    "new-method mine --out mine.txt": "ends in .py",
    "new-method mine --out W/a-file": "exists already",
    "new-method mine --out W/a-file/mine.py": "W/a-file is a file",
    "new-method mine --package --out W/a-folder": "exists already",
    "new-method mine --package --out W/a-file/mine": "W/a-file is a file",
    # Data.
    "data state": "No such command 'state'",
    "data status --suite ffhg": "Did you mean 'ffhq'?",
    "data status --data nowhere": "--data nowhere: there is no such folder",
    "data status --suite nowhere.toml": "There is no suite file",
    "data status --suite W/suites/no-toml.toml": "cannot be read",
    "data init": "Missing argument",
    f"data init new.toml --target {GOOD}": "Missing option '--source'",
    f"{INIT}": "Missing option '--target'",
    f"data init new.txt --source W/good.safetensors --target {GOOD}": "must end in .toml",
    f"data init W/suites/good.toml --source x --target {GOOD}": "exists already",
    f"data init W/a-file/new.toml --source W/good.safetensors --target {GOOD}": "is a file",
    f"data init new.toml --source nowhere.pt --target {GOOD}": "There is no model at nowhere.pt",
    f"data init new.toml --source W/models/nan.pt --target {GOOD}": "not finite",
    f"{INIT} --target W/images/gone": "does not exist",
    f"{INIT} --target W/images/one-pixel": "1x1 px, under 8",
    f"{INIT} --target W/images/empty": "holds no image",
    f"{INIT} --target a={GOOD} --target a={GOOD}": "--target gives 'a' twice",
    f"{INIT} --target ../a={GOOD}": "../a",
    f"{INIT} --target ={GOOD}": "--target",
    f"{INIT} --target a=": "--target",
    f"{INIT} --target a={GOOD} --real b={GOOD}": "b",
    f"{INIT} --target a={GOOD} --real W/images/repeated --source-images W/images/cut": "cut short",
    f"{INIT} --target t={GOOD} --real W/images/gone": "W/images/gone does not exist",
    f"{INIT} --target W/images/hidden": "hidden or a system's own",
    f"{OWN} --suite W/suites/statistics-gone.toml --out out": "lacks its FID statistics",
    "data statistics W/images/good out.txt": "must end in .npz",
    "data statistics W/images/gone out.npz --backbone lite0": "W/images/gone does not exist",
    "data statistics W/images/one out.npz --backbone lite0": "statistics take two at least",
    "data statistics W/images/good out.npz --size 4": "--size",
    # What was trained elsewhere, and what is taken along.
    "evaluate": "has several targets; name one by --target",
    "evaluate --target inc": "Did you mean 'ink'?",
    "evaluate W/good.safetensors --target ink": "name checkpoints by --generator",
    f"evaluate --target ink --images {GOOD} --generator W/good.safetensors": "one at a time",
    "evaluate --target ink --generator x.pt --iteration 5": "--iteration is of --images",
    "evaluate --target ink --name x": "--name names what",
    f"evaluate --target ink --images {GOOD} --out W/a-file": "W/a-file is a file",
    "generate W/good.safetensors": "Missing option '--out'",
    "generate nowhere.pt --out out": "There is no cell or checkpoint at nowhere.pt",
    "generate W/a-folder --out out": "is not a cell's folder",
    "generate W/models/bomb.pt --out out": "was refused and nothing in it was run",
    "generate W/good.safetensors --out out.png": "--grid makes a .png",
    "generate W/good.safetensors --out W/a-file": "exists already",
    "generate W/good.safetensors --out W/a-file/out": "W/a-file is a file",
    "generate W/good.safetensors --grid --out out.webp": "ends in .png",
    "generate W/good.safetensors --interpolate 4 --out out.avi": "ends in .webp, .gif, .mp4",
    "generate W/good.safetensors --interpolate 1 --out out.gif": "--interpolate",
    "generate W/good.safetensors --iterations all --out out.gif": "needs the folders of cells",
    "generate W/good.safetensors --iteration 5 --out out": "--iteration names a snapshot",
    "generate W/good.safetensors --same-noise-as W/a-folder --out out": "neither a manifest.json",
    "generate W/good.safetensors --truncation nan --out out": "--truncation",
    "export W/results/good": "Missing option '--out'",
    "export W/results/good --out out.xlsx": "ends in .parquet, .csv, .json",
    "export W/results/good --out W/a-file/out.csv": "W/a-file is a file",
    "export W/a-folder --out out.csv": "There are no runs in W/a-folder",
    "merge W/results/good": "Missing option '--out'",
    "merge W/results/good --out W/a-folder": "exists already",
    "merge W/a-folder --out out": "There are no runs in W/a-folder",
    "pack W/results/good --out out.tar": "ends in .zip",
    "pack W/a-folder --out out.zip": "There are no runs in W/a-folder",
    "verify W/images/broken.zip": "cannot be read as a pack",
    # Finished runs.
    "verify": "Missing argument",
    "verify nowhere": "The folder nowhere does not exist",
    "verify W/a-file": "W/a-file is a file",
    "verify W/a-folder": "There are no runs in W/a-folder",
    "verify W/results/good --seed -1": "--seed",
    "verify W/results/good --plugin nowhere.py": "There is no plugin file",
    "verify W/results/good --suite nowhere.toml": "There is no suite file",
    "score W/results/good": "Missing option '--metrics'",
    "score nowhere --metrics kid": "nowhere",
    "score W/a-folder --metrics kid": "There are no runs in W/a-folder",
    "score W/results/good --metrics kids": "Did you mean 'kid'?",
    "score W/results/good --metrics ,": "--metrics names no metric",
    "score W/results/good --metrics kid --device gpu": "--device must be cpu",
    "verdict nowhere": "nowhere does not exist",
    "verdict W/results/scores-text": "line 1, is not valid JSON",
    "verdict W/results/unscored": "There is nothing to judge",
    "verdict W/results/good --margin 2": "--margin",
    "verdict W/results/good --margin nan": "--margin",
    "verdict W/results/good --out W/a-file": "W/a-file is a file",
    f"{RUN} --cell-timeout 0": "--cell-timeout",
    f"{RUN} --cell-timeout nan": "--cell-timeout",
    f"{RUN} --cell-timeout forever": "--cell-timeout",
    f"{RUN} --keep-snapshots some": "--keep-snapshots",
    # Weights.
    "weights --suite ffhg": "Did you mean 'ffhq'?",
    "weights --suite nowhere.toml": "There is no suite file",
}

SUITES: Mapping[str, str] = {
    "empty": "empty.toml lacks name",
    "no-toml": "no-toml.toml cannot be read",
    "folder": "Is a directory",
    "binary": "binary.toml cannot be read",
    "utf-16": "utf-16.toml cannot be read",
    "unknown-key": "Did you mean 'name'?",
    "name-number": "name",
    "name-outside": "name",
    "name-capital": "name",
    "name-line": "name",
    "name-long": "name",
    "source-number": "source",
    "source-empty": "source",
    "source-blank": "source",
    "source-missing": "lacks its source model: there is nothing at",
    "source-nul": "source",
    "source-long": "at most 4096 characters",
    "source-loop": "lacks its source model",
    "targets-empty": "targets",
    "targets-text": "targets",
    "targets-unknown": "Did you mean 'ink'?",
    "targets-twice": "targets",
    "targets-numbers": "targets",
    "target-outside": "targets",
    "target-key": "Did you mean 'few_shot'?",
    "target-empty": "needs few_shot",
    "target-budget": "Did you mean 'quick'?",
    "recipe-unknown": "Did you mean 'batch'?",
    "recipe-zero": "batch",
    "recipe-text": "batch",
    "recipe-fraction": "batch",
    "recipe-nan": "learning_rate",
    "recipe-infinite": "learning_rate",
    "recipe-negative": "r1_gamma",
    "recipe-bool": "batch",
    "recipe-huge": "batch",
    "budget-zero": "1 to 10,000,000 iterations",
    "budget-half": "snapshots",
    "budget-key": "shots",
    "budget-huge": "1 to 10,000,000 iterations",
    "budget-snapshots": "snapshots",
    "probe-one": "probe_size",
    "probe-huge": "probe_size",
    "probe-more": "frechet_samples must be at least probe_size",
    "shots-zero": "default_shots",
    "backbone": "lpips_backbone",
    "frechet": "frechet_backbone",
    "protocol": "lpips_protocol",
    "classifier": "There is no classifier 'lite1'",
    "classifier-timm": "mobilnet",
    "classifier-hub": "hf_hub:somebody/model",
    "classifier-folder": "local-dir:/tmp",
    "base": "Did you mean 'avatars'?",
    "base-paper": "has no targets",
    "date": "name",
    "deep": "cannot be read",
    "backslash-u": "write / or use single quotes",
    "backslash-t": "write / or use single quotes",
    # Source models.
    "model-nan.pt": "'conv1.conv.weight' is not finite",
    "model-infinite.pt": "'final_linear.1.bias' is not finite",
    "model-wrong-shape.pt": "has shape [1, 8, 7, 3, 3] where [1, 8, 8, 3, 3] is needed",
    "model-flat.pt": "conv1.conv.weight",
    "model-scalar.pt": "conv1.conv.weight",
    "model-no-channels.pt": "StyleGAN2",
    "model-whole-numbers.pt": "conv1.conv.weight",
    "model-complex.pt": "conv1.conv.weight",
    "model-lacks-tensor.pt": "it lacks 'final_linear.1.bias'",
    "model-extra-tensor.pt": "'extra' is no tensor",
    "model-no-tensor.pt": "conv1.conv.weight",
    "model-huge.pt": "StyleGAN2",
    "model-generator-alone.pt": "it lacks 'd', which adaptation needs",
    "model-empty-dict.pt": "it lacks 'g_ema'",
    "model-a-list.pt": "it lacks 'g_ema'",
    "model-numbers.pt": "no set of tensors",
    "model-bomb.pt": "was refused and nothing in it was run",
    "model-legacy-bomb.pt": "was refused and nothing in it was run",
    "model-bomb.pkl": "was refused and nothing in it was run",
    "model-no-networks.pkl": "not one of NVIDIA's",
    "model-empty.safetensors": "cannot be read as a checkpoint",
    "model-empty.pt": "cannot be read as a checkpoint",
    "model-empty.pkl": "cannot be read as a checkpoint",
    "model-text.pt": "cannot be read as a checkpoint",
    "model-cut.safetensors": "cannot be read as a checkpoint",
    "model-cut.pt": "cannot be read as a checkpoint",
    "model-long-header.safetensors": "cannot be read as a checkpoint",
    "model-no-header.safetensors": "cannot be read as a checkpoint",
    "model-deep.pkl": "it holds no networks by name",
    "model-memory.pkl": "cannot be read as a checkpoint",
    "model-folder.pt": "is a folder",
    "model-refused.pt": "it asks for 'posix.mkdir'",
    "model-tensorflow.pkl": "is a TensorFlow pickle",
    "model-tensorflow.pt": "is a TensorFlow pickle",
    "model-page.pt": "it is a web page",
    "model-lfs.pkl": "it is a Git LFS pointer",
    "model-zip.pt": "it is damaged or cut short",
    "model-cut.pkl": "it is damaged or cut short",
    "model-grey.pt": "it draws grey images, of 1 channel",
    "model-rgba.pt": "it draws RGBA images, of 4 channels",
    "model-conditional.pkl": "it is class-conditional, of 10 classes",
    "model-bomb.pt.gz": "was refused and nothing in it was run",
    "model-cut.pt.gz": "it is damaged or cut short",
    "model-card-text.safetensors": "cannot be read as a checkpoint",
    "model-card-list.safetensors": "cannot be read as a checkpoint",
    "model-card-deep.safetensors": "cannot be read as a checkpoint",
}
"""By suite file, as ``run`` reads it."""

IMAGES: Mapping[str, str] = {
    "gone": "lacks its few-shot images: there is nothing at",
    "loop": "lacks its few-shot images",
    "empty": "holds no image",
    "texts": "holds no image",
    "one-pixel": "'0.png' (1x1 px, under 8)",
    "text-as-png": "'0.png' (no image)",
    "no-bytes": "'0.png' (empty)",
    "cut": "'0.png' (damaged or cut short)",
    "repeated": "'1.png' (repeats '0.png')",
    "only-bmp": "'0.bmp' (no image)",
    "links": "'nothing.png' (a link to nothing)",
    "image.png": "is a file",
    "broken.zip": "cannot be read as a zip archive",
    "empty.zip": "cannot be read as a zip archive",
    "outside.zip": "'../../outside.png' (outside the archive)",
    "texts.zip": "holds no image",
    "lmdb": "cannot be read as an LMDB",
    "avif": "'0.jpg' (an AVIF image; save it as PNG)",
    "heic": "'0.jpg' (a HEIC image; save it as PNG)",
    "jpeg-xl": "'0.png' (a JPEG XL image; save it as PNG)",
    "raw": "'0.nef' (a camera raw file; save it as PNG)",
    "lfs": "'0.png' (no image but a Git LFS pointer",
    "web-page": "'0.jpg' (no image but a web page",
    "pdf": "'0.png' (no image but a PDF",
    "hidden": "Passed over as hidden or a system's own: 2 images ('.ipynb_checkpoints', '@eaDir')",
    "others": "Passed over as no image: 2 files ('0.npy', '0.svg')",
    "metadata": "'0.png' (over 64 MiB of metadata)",
    "windows.zip": "'../../outside.png' (outside the archive)",
    "drive.zip": "'C:/outside.png' (outside the archive)",
    "links.zip": "'0.png' (a link)",
    "page.zip": "cannot be read as a zip archive: no image but a web page",
    "set.tar": "is a file, a tar archive, to be unpacked",
    "lmdb-texts": "lacks images: it should hold an encoded image a key",
    "lmdb-unfinished": "lacks a length",
    "escape-codes": r"'\x1b[31mred.png' (no image)",
}
"""By image set, as the few-shot images of a run."""


@dataclass(frozen=True)
class Case:
    """An invocation, with ``W`` for the folder of bad files, and a part of what it must say."""

    command: str
    says: str


CASES: Sequence[Case] = [
    *(Case(command, says) for command, says in INVOCATIONS.items()),
    *(Case(f"{RUN} --suite W/suites/{name}.toml --out out", says) for name, says in SUITES.items()),
    *(
        Case(f"{OWN} --shots 2 --suite W/suites/few-shot-{name}.toml --out out", says)
        for name, says in IMAGES.items()
    ),
    Case(
        f"{OWN} --shots 5 --suite W/suites/few-shot-good.toml --out out", "5 shots were asked for"
    ),
]


@dataclass(frozen=True)
class Row:
    """What came of a case; ``problems`` is empty if all is as it should be."""

    command: str
    exit_code: int
    sentence: str
    problems: tuple[str, ...]


def run_case(case: Case, folder: Path) -> Row:
    """Carry out a case in an empty folder of its own; ``folder`` holds the bad files."""
    before = contents(folder)
    with tempfile.TemporaryDirectory() as empty, no_training():
        result = invoke(case.command, folder, Path(empty))
        written = contents(Path(empty))
    untouched = contents(folder) == before
    shown = result.output.replace(f"{folder}/", "W/")
    *usage, sentence = re.split(r"^(?=Error: |Broken: )", shown, flags=re.MULTILINE)
    sentence = " ".join(sentence.split())
    by_click = "".join(usage).startswith("Usage: ")
    beside_a_list = sentence.startswith("Broken: ")
    checks = {
        "exit code 2": result.exit_code == 2,
        "an exit of its own": isinstance(result.exception, SystemExit),
        f"says {case.says!r}": case.says in sentence,
        "one sentence": len(usage) == 1 and (by_click or beside_a_list or not usage[0]),
        "ends as a sentence": by_click or beside_a_list or sentence.endswith((".", "?")),
        "short": len(sentence) <= LONGEST,
        "no words of Python's": not any(word in shown for word in INTERNAL),
        "no control characters": re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown) is None,
        "nothing written": not written,
        "nothing changed": untouched,
        "no code was run": not (folder / "exploded").exists(),
    }
    problems = tuple(what for what, holds in checks.items() if not holds)
    return Row(case.command, result.exit_code, sentence.removeprefix("Error: "), problems)


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def no_training() -> Iterator[None]:
    """Whatever gets past all checks ends here, at once and as a failure of its case."""

    def stop(*_: object) -> None:
        raise AssertionError("it was carried out")

    with (
        patch("fsgan_bench.driver.preparation.prepare", stop),
        patch("fsgan_bench.driver.pretraining.options.pretrain", stop),
        patch("fsgan_bench.driver.pretraining.options.pretrain_in_stages", stop),
    ):
        yield


def invoke(command: str, folder: Path, where: Path) -> Result:
    """Carry out ``command`` in the folder ``where``; ``W`` in it stands for ``folder``.

    However slow the machine is, it says no word about being at work.
    """
    arguments = [part.replace("W/", f"{folder}/") for part in shlex.split(command)]
    with working_in(where), patch("fsgan_bench.cli.console.PATIENCE", 3600.0):
        return CliRunner().invoke(main, arguments)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below ``folder``."""
    found = {}
    for path in folder.rglob("*"):
        state = path.lstat()
        found[str(path)] = state.st_size, state.st_mtime_ns
    return found


@contextlib.contextmanager
def bad_files() -> Iterator[Path]:
    """A folder of bad files, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="bad-") as name:
        folder = Path(name).resolve()
        world.build(folder)
        yield folder


def rows() -> Iterator[Row]:
    """Carry out every case, one after the other."""
    with bad_files() as folder:
        for case in CASES:
            yield run_case(case, folder)


if __name__ == "__main__":
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table = Table("bad input", "exit code", "sentence", "problems", show_lines=True)
    count = 0
    for row in rows():
        count += bool(row.problems)
        texts = (row.command, str(row.exit_code), row.sentence, ", ".join(row.problems))
        table.add_row(*map(Text, texts))
    Console(width=160).print(table)
    sys.exit(1 if count else 0)
