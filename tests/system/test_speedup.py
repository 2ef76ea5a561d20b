"""What freezing would save, from the command line."""

from tests.system.conftest import Truelift


def test_speedup_counts_and_estimates(truelift: Truelift) -> None:
    done = truelift("speedup", "--model", "densenet40", "--freezing.t0", "0.5", "--freezing.scaling", "linear")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "22 layers" in lines[0]
    assert "50.0 %" in lines[0]
    assert lines[1].startswith("counted operations saved: 23.")
    # The authors' own figure for this network and schedule.
    assert lines[2] == "the paper's own estimate: 22.9 %"


def test_speedup_can_time_the_network(truelift: Truelift) -> None:
    done = truelift(
        "speedup", "--model", "resnet8", "--model.width", "4", "--batch_size", "4", "--measure", "--threads", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "predicted for the clock here" in done.stdout.splitlines()[3]


def test_speedup_refuses_in_one_line(truelift: Truelift) -> None:
    for arguments, word in (
        (("--model", "densenet41"), "6n+4"),
        (("--freezing.t0", "1.5"), "freezing.t0"),
        (("--freezing.scaling", "cubik"), "cubic"),
        (("--model", "vgg16", "--image_size", "16"), "32 pixels"),
    ):
        done = truelift("speedup", *arguments)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert word in line
