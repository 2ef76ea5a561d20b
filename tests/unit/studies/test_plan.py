from pathlib import Path
from typing import Any

import pytest

from truelift import recipes
from truelift.errors import InputError
from truelift.metrics import Metric
from truelift.studies.study_file import read_plan
from truelift.training.identity import config, identity
from truelift.verdicts import PublishedFigure

STUDY = """
question = "Does it?"
baseline = "a"
seeds = 2
smallest_effect = 0.5
[experiment]
model = "resnet8"
epochs = 3
[variants.a]
[variants.b]
model.last_relu = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("more", ["", 'replicates = "folds"\nfolds = 3\n'], ids=["seeds", "folds"])
def test_each_run_has_its_own_experiment_written_out(tmp_path: Path, more: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f"{'' if more else 'seeds = [3, 0, 7]'}\n{more}[variants.a]\n[variants.b]\nmodel.width = 4\n")
    runs = read_plan(path).runs()
    assert len(runs) == 6
    for run in runs:
        assert run.experiment is not None
        assert run.config == config(run.experiment)
        assert run.identity == identity(run.experiment)


def test_pairs_share_all_but_the_variants_settings(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, STUDY))
    runs = plan.runs()
    assert [(run.variant, run.seed) for run in runs] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    a, b = runs[0].config, runs[1].config
    assert a["model"].pop("last_relu") is True
    assert b["model"].pop("last_relu") is False
    assert a == b


def test_a_changed_setting_changes_that_variants_folders_only(tmp_path: Path) -> None:
    before = [run.folder for run in read_plan(written(tmp_path, STUDY)).runs()]
    changed = STUDY.replace("last_relu = false", "width = 8")
    after = [run.folder for run in read_plan(written(tmp_path, changed)).runs()]
    assert [x == y for x, y in zip(before, after, strict=True)] == [True, False, True, False]
    assert [run.folder for run in read_plan(written(tmp_path, STUDY)).runs()] == before


def test_the_split_follows_the_seed_unless_told_not_to(tmp_path: Path) -> None:
    varied = read_plan(written(tmp_path, STUDY)).runs()
    assert "split_seed" not in varied[0].config["data"]
    fixed = read_plan(written(tmp_path, "vary_split = false\n" + STUDY)).runs()
    assert {run.config["data"]["split_seed"] for run in fixed} == {0}


def test_overrides_and_seeds(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, STUDY), seeds=4, overrides={"epochs": 7})
    assert plan.seeds == (0, 1, 2, 3)
    assert {run.config["epochs"] for run in plan.runs()} == {7}


SCALED = (
    STUDY.replace("epochs = 3", "epochs = 3\nbatch_size = 50\noptimizer.lr = 0.3")
    + """
[variants.wide]
model.width = 24
[scales.quick]
takes = "a minute"
seeds = 3
epochs = 1
data.train_images = 100
optimizer.lr = 0.2
model.name = "resnet14"
model.width = 8
[scales.same-seeds]
variants = ["b", "a"]
epochs = 2
"""
)


def test_a_scale_stands_between_the_shared_settings_and_the_command_line(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, SCALED), scale="quick", overrides={"optimizer.lr": 0.1})
    a, _, wide = (run.config for run in plan.runs()[:3])
    assert a["batch_size"] == 50  # the file's
    assert (a["epochs"], a["data"]["train_images"], a["model"]["name"]) == (1, 100, "resnet14")  # the scale's
    assert a["optimizer"]["lr"] == 0.1  # the command line's
    assert (a["model"]["width"], wide["model"]["width"]) == (8, 24)  # the variant's, where it has one
    assert plan.seeds == (0, 1, 2)
    assert plan.takes == "a minute"


def test_seeds_of_the_command_line_of_the_scale_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, SCALED)
    assert read_plan(path, scale="quick", seeds=1).seeds == (0,)
    assert read_plan(path, scale="quick").seeds == (0, 1, 2)
    assert read_plan(path, scale="same-seeds").seeds == (0, 1)


def test_the_name_and_the_record_say_the_scale(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, SCALED), scale="quick")
    record = plan.record("truelift study mine.toml", "now")
    assert (plan.name, plan.scale, record["name"], record["scale"]) == ("mine-quick", "quick", "mine-quick", "quick")
    assert list(plan.scales) == ["quick", "same-seeds"]


def test_a_scale_may_keep_some_variants(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, SCALED), scale="same-seeds")
    assert [variant.name for variant in plan.variants] == ["a", "b"]  # the file's order
    assert list(plan.record("", "")["variants"]) == ["a", "b"]
    assert {run.variant for run in plan.runs()} == {"a", "b"}
    assert len(read_plan(written(tmp_path, SCALED), scale="quick").variants) == 3


def test_paper_is_the_file_as_it_stands(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, SCALED), scale="paper")
    assert plan == read_plan(written(tmp_path, SCALED))
    assert (plan.name, plan.scale, plan.runs()[0].config["epochs"]) == ("mine", None, 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", r'mine.toml: unknown scale "quik". Did you mean "quick"\? Known: paper, quick, same-seeds'),
        ("scales.quick", "scales.paper", "a scale's name must not be paper"),
        ("scales.quick", 'scales."a/b"', 'a scale\'s name must be of letters, .* got "a/b"'),
        ("[scales.quick]", "[scales]\nquik = 3\n[scales.quick]", "scales.quik must be a table, got 3"),
        ('takes = "a minute"', "takes = 60", 'scale "quick": takes must be text, got 60'),
        ('["b", "a"]', '["a", "bb"]', 'scale "same-seeds": unknown variant "bb". Did you mean "b"'),
        ('["b", "a"]', '["b", "wide"]', "variants must be the baseline, a, and at least one other, got"),
        ('["b", "a"]', '["a", "a"]', r"variants must be the baseline, a, .*, got \['a', 'a'\]"),
        ('["b", "a"]', '"a"', "variants must be a list, got 'a'"),
        ("seeds = 3", "seeds = 0", 'scale "quick": seeds must be a number from 1 to 100,000'),
    ],
)
def test_bad_scales_are_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_plan(written(tmp_path, SCALED.replace(old, new)), scale="quik")


def test_settings_of_a_scale_are_checked(tmp_path: Path) -> None:
    for new, message in (("epoch = 1", "Did you mean --epochs"), ("seed = 1", "seed is set by the study")):
        with pytest.raises(InputError, match=message):
            read_plan(written(tmp_path, SCALED.replace("epochs = 1", new)), scale="quick")


PUBLISHED = (
    SCALED
    + """
[published]
a = [{ value = 8.75, source = "paper" }, { value = 8, sd = 0.2, runs = 5, source = "gcr" }]
wide = { value = 7.5, source = "paper" }
"""
)


def test_published_figures_are_kept_in_the_record(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, PUBLISHED))
    assert plan.published["wide"] == (PublishedFigure(value=7.5, source="paper"),)
    record = plan.record("truelift study mine.toml", "now")
    assert record["published"]["a"] == [
        {"value": 8.75, "source": "paper", "runs": 1, "sd": None},
        {"value": 8, "source": "gcr", "runs": 5, "sd": 0.2},
    ]
    assert record["changed"] == []
    assert read_plan(written(tmp_path, SCALED)).published == {}


def test_a_scale_keeps_the_figures_of_its_own_variants(tmp_path: Path) -> None:
    path = written(tmp_path, PUBLISHED.replace("seeds = 3", 'seeds = 3\nvariants = ["a", "b"]'))
    assert list(read_plan(path).published) == ["a", "wide"]
    assert list(read_plan(path, scale="quick").published) == ["a"]


def test_what_is_changed_of_the_protocol(tmp_path: Path) -> None:
    def changed(scale: str = "paper", **overrides: Any) -> tuple[str, ...]:
        return read_plan(path, scale=scale, seeds=7, overrides=overrides).changed

    path = written(tmp_path, PUBLISHED + '[scales.more-seeds]\nseeds = 9\nprecision = "fp32"')
    assert changed() == ()
    assert changed("more-seeds") == ("precision",)
    assert changed("same-seeds") == ("epochs",)
    elsewhere: dict[str, Any] = {"data.path": "here", "device": "cpu", "compile": True}
    assert changed(**elsewhere) == ()
    assert changed(epochs=3, batch_size=50) == ()  # the file's own
    assert changed(epochs=4, **elsewhere) == ("epochs",)


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (
            "aa = { value = 1, source = 'x' }",
            r'unknown variant in published "aa". Did you mean "a"\? Known: a, b, wide',
        ),
        ("a = 8.75", "published.a must be a table with value and source, or a list of such tables, got 8.75"),
        ("a = { valu = 1, source = 'x' }", r'unknown key in published.a "valu". Did you mean "value"'),
        ("a = { source = 'x' }", "published.a: value must be a number, got None"),
        ("a = { value = '8 %', source = 'x' }", "published.a: value must be a number, got '8 %'"),
        ("a = { value = nan, source = 'x' }", "published.a: value must be a number, got nan"),
        ("a = { value = 1 }", "published.a: source must be text: who reports the value, got None"),
        ("a = { value = 1, source = 'x', runs = 0 }", "published.a: runs must be a number of at least 1, got 0"),
        (
            "a = { value = 1, source = 'x', runs = 2, sd = -1 }",
            "published.a: sd must be a number of at least 0, got -1",
        ),
        ("a = { value = 1, source = 'x', sd = 1 }", "published.a: runs must be at least 2 where sd is given, got None"),
    ],
)
def test_bad_published_figures_are_told(tmp_path: Path, figure: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_plan(written(tmp_path, f"{SCALED}[published]\n{figure}\n"))
    assert "\n" not in str(caught.value)


def test_equal_variants_are_found(tmp_path: Path) -> None:
    same = STUDY.replace("model.last_relu = false", "model.last_relu = true")
    assert read_plan(written(tmp_path, same)).equal_variants() == [("a", "b")]
    assert read_plan(written(tmp_path, STUDY)).equal_variants() == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('baseline = "a"', 'baseline = "aa"', r'unknown baseline "aa". Did you mean "a"'),
        ("[variants.b]\nmodel.last_relu = false", "", "at least one other variant"),
        ("smallest_effect", "smalest_effect", 'Did you mean "smallest_effect"'),
        ("smallest_effect = 0.5", "smallest_effect = -1", "smallest_effect must be at least 0, got -1"),
        ("smallest_effect = 0.5", 'smallest_effect = "big"', "smallest_effect must be a number, got 'big'"),
        ("seeds = 2", "seeds = 0", "seeds must be a number from 1 to 100,000"),
        ("seeds = 2", "seeds = [1, 1]", "list of as many different integers"),
        ("last_relu", "last_rleu", r'variant "b": .*Did you mean --model.last_relu'),
        ("model.last_relu = false", "epochs = 0", 'variant "b": epochs must be at least 1'),
        ("model.last_relu = false", "seed = 4", "seed is set by the study"),
        ("[variants.b]", '[variants."../b"]', "letters, digits"),
        ("seeds = 2", 'seeds = 2\nmetric = "speed"', "higher_is_better must be given"),
        ("question", "question = [", "cannot be read as TOML"),
    ],
)
def test_bad_studies_are_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, STUDY.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_plan(path).runs()
    assert "\n" not in str(caught.value)


def test_an_override_of_what_varies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'model.last_relu is what variant "b" varies'):
        read_plan(written(tmp_path, STUDY), overrides={"model.last_relu": "true"})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python x.py --seed {sed} --out {out}", r'Did you mean "seed"'),
        ("python x.py --out {out}", r"must contain \{seed\}"),
        ("python x.py {seed", "unmatched braces"),
    ],
)
def test_bad_commands_are_told(tmp_path: Path, command: str, message: str) -> None:
    text = f'command = "{command}"\n[variants.a]\n[variants.b]\nargs = "--x"\n'
    with pytest.raises(InputError, match=message):
        read_plan(written(tmp_path, text))


PROGRAMS = (
    'command = "p {seed} {out} {args}"\nmetric = "val_accuracy"\nseeds = 3\n[variants.a]\n[variants.b]\nargs = "1"\n'
)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "[experiment]\nepochs = 5\n",
            "epochs is a setting of truelift's own training, and every variant is a program",
        ),
        ("[experiment]\nepohcs = 5\n", "epohcs is a setting of"),
        ("[experiment]\nwhen = 2026-01-01\n", "when is a setting of"),
        ("[experiment]\nx = nan\n", "x is a setting of"),
        ("[scales.quick]\nseeds = 2\nnonsense = 3\n", 'scale "quick": nonsense is a setting of'),
        *(
            (f"[scales.quick]\n{key}\n", f'scale "quick": {key.split()[0]} is the same at every scale: give it beside')
            for key in (
                "timeout = 3",
                "retries = 1",
                'inputs = ["x"]',
                'command = "x"',
                'metric = "acc"',
                "guards = {acc = 1}",
            )
        ),
    ],
)
def test_settings_that_no_program_is_given_are_refused(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_plan(written(tmp_path, PROGRAMS + more))
    read_plan(written(tmp_path, PROGRAMS + "[experiment]\n[scales.quick]\nseeds = 2\n"))


def test_a_scale_of_programs_alone_may_leave_out_who_has_the_settings(tmp_path: Path) -> None:
    programs = "".join(f'[variants.{name}]\ncommand = "{name} {{seed}} {{out}}"\n' for name in ("p", "q"))
    text = (
        f'[experiment]\ndata = "digits"\n{programs}[variants.ours]\n[scales.short]\nvariants = ["p", "q"]\nepochs = 2\n'
    )
    assert len(read_plan(written(tmp_path, text), scale="short").variants) == 2


OWN_PART = 'seeds = 2\n[experiment]\ndata = "digits"\n[variants.a]\n[variants.b]\nobjective.name = "own.py:loss"\n'


@pytest.mark.parametrize(
    "value", ["inf", "nan", "2026-01-01", "07:30:00", "[1, -inf]", "{ at = 2026-01-01T00:00:00Z }"]
)
def test_what_no_record_can_hold_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "own.py").write_text("def loss(logits, labels, when=0):\n    return logits.sum()\n")
    assert read_plan(written(tmp_path, f"{OWN_PART}objective.args.when = [0.5, {{ a = true }}]\n")).runs()
    with pytest.raises(InputError, match=r'variant "b": objective.args.when.* must be of text, finite numbers'):
        read_plan(written(tmp_path, f"{OWN_PART}objective.args.when = {value}\n"))
    shared = OWN_PART.replace("[variants.a]", f"objective.args.when = {value}\n[variants.a]")
    with pytest.raises(InputError, match=r"mine.toml: objective.args.when.* must be of text, finite numbers"):
        read_plan(written(tmp_path, shared))


def test_metrics_by_name() -> None:
    assert Metric.named("test_accuracy") == Metric("test_accuracy", "points", True, False)
    assert Metric.named("train_seconds").relative
    assert not Metric.named("val_loss").higher_is_better
    assert Metric.named("bleu", True) == Metric("bleu", "", True, False)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_a_sound_plan(name: str) -> None:
    plan = read_plan(recipes.find(name))
    assert plan.runs()
    assert plan.shows
    assert plan.takes
    assert not plan.equal_variants()
    assert not plan.changed
    for scale in plan.scales:
        scaled = read_plan(recipes.find(name), scale=scale)
        assert scaled.takes
        assert not scaled.equal_variants()
        shared = {run.folder for run in scaled.runs()} & {run.folder for run in plan.runs()}
        if scaled.changed:
            assert not shared
        else:  # fewer variants of the same
            assert len(scaled.variants) < len(plan.variants)
    assert recipes.find(name).read_text().startswith(f"# truelift study {name}\n")


def test_a_file_takes_the_shared_settings_of_another(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "first.toml").write_text(
        'question = "?"\nseeds = 3\n[experiment]\nepochs = 7\nbatch_size = 16\noptimizer.lr = 0.5\n'
        "[variants.other]\n[variants.others]\n"
    )
    (tmp_path / "second.toml").write_text('extends = "inner/first.toml"\n[experiment]\nbatch_size = 32\n')
    own = 'extends = "second.toml"\n[experiment]\noptimizer.momentum = 0.8\n'
    text = own + '[variants.a]\n[variants.b]\nepochs = "200 %"\n'
    plan = read_plan(written(tmp_path, text))
    assert plan.shared == {"epochs": 7, "batch_size": 32, "optimizer.lr": 0.5, "optimizer.momentum": 0.8}
    assert [variant.name for variant in plan.variants] == ["a", "b"]
    assert plan.seeds == (0, 1, 2, 3, 4)
    assert plan.question == "Which of a, b is best?"
    found = {run.variant: run.experiment for run in plan.runs()}
    assert found["b"] is not None
    assert (found["b"].epochs, found["b"].batch_size) == (14, 32)
    plain = "[experiment]\nepochs = 7\nbatch_size = 32\noptimizer.lr = 0.5\noptimizer.momentum = 0.8\n"
    same = read_plan(written(tmp_path, plain + '[variants.a]\n[variants.b]\nepochs = "200 %"\n'))
    assert [run.folder for run in plan.runs()] == [run.folder for run in same.runs()]


def test_a_recipe_can_be_extended(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, 'extends = "demo"\n[variants.a]\n[variants.b]\nepochs = 3\n'))
    assert plan.shared == read_plan(recipes.find("demo")).shared


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ('"dem"', r'unknown recipe to extend "dem".*Did you mean "demo"'),
        ("3", "extends must be the name of a recipe or the path of a study file, got 3"),
        ('"none.toml"', "none.toml does not exist"),
        ('"misspelt.toml"', r'misspelt.toml: unknown key "experimnt".*Did you mean "experiment"'),
        ('"mine.toml"', "extends must lead through at most 10 files"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, extends: str, message: str) -> None:
    (tmp_path / "misspelt.toml").write_text("[experimnt]\nbatch_size = 32\n")
    text = f"extends = {extends}\n[variants.a]\n[variants.b]\nepochs = 3\n"
    with pytest.raises(InputError, match=message):
        read_plan(written(tmp_path, text))
