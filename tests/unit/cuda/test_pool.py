"""Which thread uses which lane."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stargan_rt.cuda.pool import Pool
from stargan_rt.errors import InputError, StarGANError


class Member:
    def __init__(self, fails=False):
        self.fails, self.closed, self.synced = fails, False, 0

    def sync(self):
        self.synced += 1
        if self.fails:
            raise RuntimeError("sync")

    def close(self):
        self.closed = True
        if self.fails:
            raise RuntimeError("close")


def test_the_first_free_one_comes_first():
    first, second = members = [Member(), Member()]
    pool = Pool(members)
    with pool.taken() as a, pool.taken() as b:
        assert (a, b) == (first, second)
    with pool.taken() as a:
        assert a is first


def test_a_failure_costs_its_member_and_the_last_one_says_to_load_again():
    members = [Member(fails=True), Member()]
    pool = Pool(members)
    for left in (1, 0):
        with pytest.raises(RuntimeError, match="broken"), pool.taken():
            raise RuntimeError("broken")
        assert pool.left == left
    with pytest.raises(StarGANError, match=r"no lane is left.*load the engine again.*broken"), pool.taken():
        pass
    pool.close()
    assert all(member.closed for member in members)


def test_ctrl_c_costs_nothing_but_waits_for_what_is_under_way():
    good, bad = Member(), Member(fails=True)
    for member, left in ((good, 1), (bad, 0)):
        pool = Pool([member])
        with pytest.raises(KeyboardInterrupt), pool.taken():
            raise KeyboardInterrupt
        assert (member.synced, pool.left) == (1, left)


def test_those_who_wait_hear_that_none_is_left():
    pool = Pool([Member()])
    taken, go = threading.Event(), threading.Event()

    def fail():
        with pool.taken():
            taken.set()
            go.wait(10)
            raise RuntimeError("broken")

    def take():
        with pool.taken():
            pass

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(fail)
        taken.wait(10)
        waiting = [threads.submit(take) for _ in range(2)]
        go.set()
        assert isinstance(first.exception(10), RuntimeError)
        assert all(isinstance(future.exception(10), StarGANError) for future in waiting)


def test_a_closed_pool_lends_nothing():
    member = Member()
    pool = Pool([member])
    pool.close()
    pool.close()
    assert member.closed
    with pytest.raises(InputError, match="closed"), pool.taken():
        pass


def test_callers_share_out_the_members_and_each_keeps_its_own():
    members = [Member(), Member(), Member()]
    pool = Pool(members)

    def lent_to(caller):
        with pool.taken(caller) as member:
            return members.index(member)

    assert [lent_to(caller) for caller in "abcab"] == [0, 1, 2, 0, 1]
    with pool.taken("a") as busy:
        assert busy is members[0]
        assert lent_to("a") == 1  # another thread has its own one now
    assert lent_to("a") == 0
    with pytest.raises(RuntimeError), pool.taken("b"):
        raise RuntimeError("broken")
    assert lent_to("b") in (0, 2)
    for number in range(200):  # streams come and go
        lent_to(number)
