"""What the media process lacks is said in the log, in words that tell what to do."""

from structlog.testing import capture_logs

from loa.app.media_lacks import LACKS, warn_of_lacks
from loa.broadcast.air.air_counters import GAUGES, new_values


def test_a_machine_that_lacks_nothing_is_not_complained_of() -> None:
    with capture_logs() as said:
        warn_of_lacks(new_values())
    assert said == []


def test_each_lack_is_one_warning() -> None:
    assert LACKS.keys() <= GAUGES
    values = new_values() | {"buffers_small": 1, "receive_buffer_bytes": 212_992, "priority_unset": 1}
    with capture_logs() as said:
        warn_of_lacks(values)
    assert [(line["log_level"], line["lacks"]) for line in said] == [
        ("warning", "buffers_small"),
        ("warning", "priority_unset"),
    ]
    assert said[0]["receive_buffer_bytes"] == 212_992
