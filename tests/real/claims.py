"""What was claimed, and whether it held; knows nothing of clouds."""

import contextlib
import sys
import threading
import time
import traceback

BEGIN = time.monotonic()


class Claims:
    """Prints each claim as it is judged and counts them."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self._lock = threading.Lock()

    def _line(self, word, text, detail=''):
        with self._lock:
            print('%-7s %s%s' % (word, text, ': ' + detail if detail else ''), flush=True)

    def check(self, text, condition, detail=''):
        """One claim: `detail` is told when it does not hold."""
        if condition:
            self.passed += 1
            self._line('ok', text)
        else:
            self.failed += 1
            self._line('FAILED', text, str(detail))
        return bool(condition)

    def equal(self, text, actual, expected):
        """The claim that two values are the same."""
        return self.check(text, actual == expected, '%s, expected %s' % (short(actual), short(expected)))

    def skip(self, text, why):
        """A claim that cannot be judged here."""
        self.skipped += 1
        self._line('skipped', text, why)

    @contextlib.contextmanager
    def part(self, text):
        """A part of the journey; what breaks it is a failed claim, and the next part goes on."""
        start = time.monotonic()
        print('-- %s (at %d s)' % (text, start - BEGIN), flush=True)
        try:
            yield
        except Exception as error:  # whatever it is, it is told and counted
            frames = [frame for frame in traceback.extract_tb(error.__traceback__)
                      if '/tests/real/' in frame.filename]
            place = ' <- '.join('%s:%d' % (frame.filename.rsplit('/', 1)[1], frame.lineno)
                                for frame in reversed(frames[-4:]))
            self.check('%s went to its end' % text, False, '%s: %s (%s)' % (
                type(error).__name__, str(error).strip() or 'no text', place))
        finally:
            print('   %.0f s' % (time.monotonic() - start), flush=True)

    def end(self):
        """The last line; whether all claims held."""
        if self.skipped:
            print('%d skipped' % self.skipped)
        print('%d passed, %d failed' % (self.passed, self.failed), flush=True)
        sys.stdout.flush()
        return self.failed == 0 and self.passed > 0


def short(value):
    """A value for a line of output."""
    text = repr(value)
    return text if len(text) <= 700 else text[:700] + '…'


def say(text):
    """A word for whoever watches."""
    print('   [%4d s] %s' % (time.monotonic() - BEGIN, text), flush=True)


def wait(what, probe, seconds, pause=0.5):
    """Calls `probe` until it answers something true, at most so long."""
    limit = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise TimeoutError('%s: not within %d s' % (what, seconds))
        time.sleep(pause)
