"""Who may remove which region of /dev/shm."""

import subprocess
import sys
from pathlib import Path

from gateway.embedded.shm import ShmPrefix, remove_ownerless_regions

SHM = Path("/dev/shm")
CLAIM = """
import time
from gateway.embedded.shm import ShmPrefix
prefix = ShmPrefix()
print(prefix.text, flush=True)
time.sleep(1000)
"""


def test_regions_of_a_living_owner_stay_and_go_with_it() -> None:
    owner = subprocess.Popen([sys.executable, "-c", CLAIM], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        region = SHM / f"{owner.stdout.readline().strip()}region"
        region.write_bytes(b"x")
        remove_ownerless_regions()
        assert region.exists()
        owner.kill()
        owner.wait()
        remove_ownerless_regions()
        assert not region.exists()
        assert not list(SHM.glob(f"tritone_{owner.pid}_*"))


def test_our_own_regions_go_and_the_claim_stays() -> None:
    ours, other = ShmPrefix(), ShmPrefix()
    (SHM / f"{ours.text}region").write_bytes(b"x")
    (SHM / f"{other.text}region").write_bytes(b"x")
    ours.remove_regions()
    assert [path.name for path in SHM.glob(f"{ours.text}*")] == [f"{ours.text}owner"]
    assert (SHM / f"{other.text}region").exists()
    ours.release()
    other.release()
    assert not list(SHM.glob(f"{ours.text}*")) + list(SHM.glob(f"{other.text}*"))


def test_what_is_not_ours_is_left_alone() -> None:
    foreign = SHM / "tritone_foreign_region"
    foreign.write_bytes(b"x")
    try:
        remove_ownerless_regions()
        assert foreign.exists()
    finally:
        foreign.unlink()


def test_a_name_that_anybody_can_make_removes_nothing() -> None:
    ours = ShmPrefix()
    region, bait = SHM / f"{ours.text}region", SHM / "tritone_*_owner"
    region.write_bytes(b"x")
    bait.write_bytes(b"")
    try:
        remove_ownerless_regions()
        assert region.exists()
    finally:
        bait.unlink(missing_ok=True)
        ours.remove_regions()
        ours.release()
