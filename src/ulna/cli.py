"""The command line: words in, words out. Each command is the function of the same name with the same options."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path
from threading import current_thread, main_thread
from typing import Annotated

import typer

from ulna.errors import UlnaError
from ulna.options import (
    Cases,
    Config,
    Data,
    Device,
    Drawn,
    Epochs,
    Except,
    Means,
    Meant,
    Minutes,
    Preset,
    Run,
    Seed,
    Set,
    each_with_option,
)
from ulna.options import changes as as_changes

STOPPED = 130
"""The exit code that typer gives a command that was stopped with Ctrl-C."""

LONGEST_START = 600.0
"""Seconds from the start of the process to the command, at most; network drives are slow."""

GOES_ON = " It goes on when the command is typed again with --resume."

app = typer.Typer(
    help="The U-Net for biomedical images: a folder of images and masks in; a trained network, masks, scores "
    "and pictures out. Start with: ulna demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.command()
def check(
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Folder for check.json and the picture of samples.")] = None,
    cases: Cases = None,
    except_: Except = None,
    config: Meant = None,
    set_: Means = None,
) -> None:
    """Look at a data set: what it holds, what is wrong with it, and what leaks between its cases."""
    from ulna.console import track
    from ulna.jobs.check import check as job

    result = job(data, cases=cases, except_=except_, out=out, config=config, changes=as_changes(set_), progress=track)
    _print(result)
    if result.fatal:
        raise typer.Exit(2)


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for train.txt and test.txt.")],
    test: Annotated[
        float | None, typer.Option(help="Share of the cases for the test; by default the data's own split, or 0.1.")
    ] = None,
    cases: Cases = None,
    except_: Except = None,
    config: Meant = None,
    set_: Means = None,
    seed: Seed = 0,
) -> None:
    """Split a data set into train.txt and test.txt, so that what belongs together stays on one side."""
    from ulna.console import track
    from ulna.jobs.split import split as job

    changes = as_changes(set_)
    _print(
        job(
            data,
            test=test,
            out=out,
            cases=cases,
            except_=except_,
            seed=seed,
            config=config,
            changes=changes,
            progress=track,
        )
    )


@app.command()
def plan(
    data: Data,
    out: Annotated[
        Path | None, typer.Option(metavar="YAML", help="File for the plan: train --config takes it.")
    ] = None,
    cases: Cases = None,
    except_: Except = None,
    preset: Preset = "default",
    minutes: Minutes = None,
    epochs: Epochs = None,
    config: Config = None,
    set_: Set = None,
    seed: Drawn = None,
    device: Device = None,
) -> None:
    """Say what a training would be, and why, without training."""
    from ulna.jobs.plan import plan as job

    changes = as_changes(set_)
    _print(
        job(
            data,
            cases=cases,
            except_=except_,
            preset=preset,
            minutes=minutes,
            epochs=epochs,
            config=config,
            changes=changes,
            seed=seed,
            device=device,
            out=out,
        )
    )


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the run; it must be new or empty.")],
    cases: Cases = None,
    except_: Except = None,
    preset: Preset = "default",
    minutes: Minutes = None,
    epochs: Epochs = None,
    config: Config = None,
    set_: Set = None,
    seed: Drawn = None,
    start_from: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run or model file whose weights to start from.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Cross-validation by group: so many trainings, within the minutes for all.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Train this fold alone, from 0; several processes may share RUN.")
    ] = None,
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> None:
    """Train a U-Net."""
    import shlex

    from ulna.jobs.train import train as job

    result = job(
        data,
        out,
        cases=cases,
        except_=except_,
        preset=preset,
        minutes=minutes,
        epochs=epochs,
        config=config,
        changes=as_changes(set_),
        seed=seed,
        start_from=start_from,
        folds=folds,
        fold=fold,
        device=device,
        resume=resume,
        started=_began(),
        command=shlex.join(["ulna", *sys.argv[1:]]),
    )
    _print(result)


@app.command()
def predict(
    run: Run,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES", help="Files, or a folder, pattern, archive or data set.")
    ],
    out: Annotated[Path, typer.Option(metavar="MASKS", help="Folder for the masks.")],
    cases: Cases = None,
    except_: Except = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write each class's probability as well, as float TIFF.")
    ] = False,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay", help="Write pictures of the images with outlines: of classes with a legend, of objects each."
        ),
    ] = False,
    outlines: Annotated[
        str, typer.Option(metavar="imagej,geojson,coco", help="Outlines for Fiji, QuPath, or as COCO JSON.")
    ] = "",
    region: Annotated[
        str, typer.Option(metavar="Y0:Y1,X0:X1", help="Only this part of each image: rows, then columns.")
    ] = "",
    level: Annotated[int, typer.Option(help="Of images with a pyramid, which resolution: 0 is the full one.")] = 0,
    format_: Annotated[
        str,
        typer.Option("--format", metavar="tif|zarr|…", help="Of the masks; by default what suits each image."),
    ] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace masks that are there already.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a prediction that was stopped.")] = False,
    part: Annotated[str, typer.Option(metavar="I/N", help="For job arrays: the I-th of N parts of the images.")] = "",
    cluster: Annotated[
        str, typer.Option(metavar="tcp://HOST:8786", help="Predict with the workers of this Dask cluster.")
    ] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="How it predicts: inference.mirror=true")
    ] = None,
    device: Device = None,
) -> None:
    """Predict masks for images of any size."""
    from ulna.jobs.predict import predict as job

    result = job(
        run,
        images,
        out=out,
        cases=cases,
        except_=except_,
        probabilities=probabilities,
        overlay=overlay,
        outlines=[one.strip() for one in outlines.split(",") if one.strip()],
        region=region,
        level=level,
        format_=format_,
        overwrite=overwrite,
        resume=resume,
        part=part,
        cluster=cluster,
        changes=as_changes(set_),
        device=device,
    )
    _print(result)
    if not result.complete:
        raise typer.Exit(2)


@app.command()
def evaluate(
    masks_or_run: Annotated[Path, typer.Argument(metavar="RUN|MASKS", help="A run, a model file, or masks.")],
    data: Annotated[Path, typer.Argument(metavar="DATA|TRUTH", help="Images with masks, or the true masks.")],
    out: Annotated[Path, typer.Option(metavar="SCORES", help="Folder for scores, tables and the picture.")],
    cases: Cases = None,
    except_: Except = None,
    config: Meant = None,
    set_: Means = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace scores that are there already.")] = False,
    device: Device = None,
) -> None:
    """Compare masks with the ground truth: Dice, IoU, precision, recall, with 95 % confidence intervals."""
    from ulna.console import track
    from ulna.jobs.evaluate import evaluate as job

    changes = as_changes(set_)
    result = job(
        masks_or_run,
        data,
        out=out,
        cases=cases,
        except_=except_,
        config=config,
        changes=changes,
        overwrite=overwrite,
        device=device,
        progress=track,
    )
    _print(result)


@app.command()
def measure(
    masks: Annotated[
        list[str], typer.Argument(metavar="MASKS", help="Files, or a folder, pattern or archive of numbered objects.")
    ],
    out: Annotated[Path, typer.Option(metavar="MEASURED", help="Folder for the table and the pictures.")],
    images: Annotated[str | None, typer.Option(help="Their images, for intensities.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table that is there already.")] = False,
) -> None:
    """Measure objects: size, shape, place, intensities and neighbors, a row of a table per object."""
    from ulna.console import track
    from ulna.jobs.measure import measure as job

    _print(job(masks, images, out=out, overwrite=overwrite, progress=track))


@app.command()
def export(
    run: Run,
    to: Annotated[str, typer.Option(metavar="onnx|openvino|pt2|bioimageio", help="What kind of file.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the files and a page about them.")],
    precision: Annotated[
        str, typer.Option(metavar="float32|int8", help="int8: quantized for OpenVINO, if its scores hold.")
    ] = "float32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write the trained network as a file that runs without ulna: ONNX, OpenVINO, PyTorch or BioImage.IO."""
    from ulna.console import track
    from ulna.jobs.export import export as job

    _print(job(run, to, out=out, precision=precision, overwrite=overwrite, progress=track))  # type: ignore[arg-type]


@app.command()
def benchmark(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run or a model file; by default a network of the default preset."),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="Y,X", help="Of the image; by default 512,512, of volumes 96,96,96.")
    ] = "",
    device: Device = None,
) -> None:
    """Measure how fast a network runs on this machine, with each engine, and recommend one."""
    from ulna.console import track
    from ulna.jobs.benchmark import benchmark as job

    sides = [part.strip() for part in size.split(",") if part.strip()]
    if not all(side.isdecimal() and int(side) for side in sides):
        raise UlnaError(f"'{size}' is no size", where="--size", hint="Write --size 512,512")
    _print(job(run, size=[int(side) for side in sides], device=device, progress=track))


@app.command()
def summary(
    what: Annotated[str, typer.Argument(metavar="RUN|PRESET", help="A run, a model file, or a preset's name.")],
) -> None:
    """Show a network's layers: name, output shape, parameters, what each is connected to."""
    from ulna.jobs.summary import summary as job

    _print(job(what))


@app.command()
def settings(
    section: Annotated[
        str, typer.Argument(metavar="[SECTION]", help="Only these: training, or a whole key.", show_default=False)
    ] = "",
    preset: Annotated[str, typer.Option(help="The preset whose values are shown.")] = "default",
) -> None:
    """List all settings, their defaults and what they mean."""
    from ulna.jobs.settings import settings as job

    _print(job(section, preset=preset))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the simulated cells and the run.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="Time for the training.")] = 1.0,
    seed: Seed = 0,
) -> None:
    """Simulate cells, train on them, predict others, and show what came out: the whole of ulna in two minutes."""
    from ulna.jobs.demo import demo as job

    _print(job(out, minutes=minutes, seed=seed))


def _began() -> float:
    """When this process began; now where the clock cannot say it, for it was set or the machine slept meanwhile."""
    import time

    import psutil

    now, began = time.time(), psutil.Process().create_time()
    return began if 0 <= now - began <= LONGEST_START else now


def _print(result: object) -> None:
    from rich.console import Console

    from ulna.console import WIDE

    Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(result)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(version("ulna"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that was typed; exit with 2 and plain words when something can be fixed by the user."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    _stop_as_by_hand()
    try:
        app(args=each_with_option(sys.argv[1:]))
    except (UlnaError, OSError) as error:  # OSError: a place that may not be looked into, a share that has gone
        _fail(str(error), 2)
    except SystemExit as end:
        if end.code != STOPPED:
            raise
        _fail(f"Stopped.{GOES_ON if sys.argv[1:2] in (['train'], ['predict']) else ''}", STOPPED)


def _stop_as_by_hand() -> None:
    """End by the signals of a cluster whose time is over as by Ctrl-C: what is there can be gone on with."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGUSR1"):  # the second one is asked for in job scripts, and there is none on Windows
        if hasattr(signal, name) and current_thread() is main_thread():
            signal.signal(getattr(signal, name), stop)


def _fail(words: str, code: int) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]ulna:[/] {escape(words)}")
    sys.exit(code)
