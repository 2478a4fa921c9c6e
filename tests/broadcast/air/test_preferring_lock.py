"""Who holds the lock often cannot keep the urgent one waiting for more than one hold."""

import threading

from loa.broadcast.air.preferring_lock import PreferringLock


def test_the_urgent_one_is_next_however_soon_the_other_comes_back() -> None:
    lock, order = PreferringLock(), list[str]()

    def urgent() -> None:
        with lock.urgent:
            order.append("urgent")

    for _ in range(50):
        order.clear()
        with lock.ordinary:
            thread = threading.Thread(target=urgent)
            thread.start()
            while not lock.urgent_waits:
                pass
            order.append("first hold")
        with lock.ordinary:
            order.append("second hold")
        thread.join()
        assert order == ["first hold", "urgent", "second hold"]
        assert not lock.urgent_waits


def test_only_one_holds_it() -> None:
    lock, inside, most = PreferringLock(), 0, 0

    def work(guard: object) -> None:
        nonlocal inside, most
        for _ in range(500):
            with guard:  # type: ignore[attr-defined]
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [
        threading.Thread(target=work, args=(guard,)) for guard in (lock.urgent, lock.ordinary, lock.ordinary)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)
