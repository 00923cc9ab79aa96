"""Plays PyPI's pyomegle, unchanged: does what it is told line by line, and tells what happens, each on a line that begins with "> "."""

import os
import re
import sys
import threading

from pyomegle import Omegle, OmegleHandler

LOCK = threading.Lock()


def tell(*words):
    with LOCK:
        sys.stdout.write(" ".join((">",) + words) + "\n")
        sys.stdout.flush()


class Teller(OmegleHandler):
    def waiting(self):
        tell("waiting")

    def connected(self):
        fine = re.fullmatch(r"central[0-9]{1,3}:[a-z0-9]{30}", self.omegle.client_id)
        tell("connected" if fine else "a strange id: %s" % self.omegle.client_id)

    def typing(self):
        tell("typing")

    def stopped_typing(self):
        tell("stoppedTyping")

    def message(self, message):
        tell("gotMessage", message)

    def common_likes(self, likes):
        tell("commonLikes", ",".join(likes))

    def disconnected(self):
        tell("strangerDisconnected")

    def captcha_required(self):
        tell("recaptchaRequired")

    def server_message(self, message):
        tell("serverMessage", message)

    def status_info(self, status):
        if len(status) != 8:
            tell("a strange status:", repr(status))

    def ident_digest(self, digests):
        if not re.fullmatch(r"[0-9a-f]{32}(,[0-9a-f]{32}){3}", digests):
            tell("strange digests:", digests)


def main():
    omegle = Omegle(Teller(), event_delay=0.1)

    def did(name, result):
        tell(name, "done" if result else "failed")

    commands = {
        "status": lambda _: tell("servers", ",".join(omegle.status()["servers"])),
        "connect": lambda _: omegle.start(),
        "typing": lambda _: did("typing", omegle.typing()),
        "stop": lambda _: did("stop", omegle.stopped_typing()),
        "send": lambda text: did("send", omegle.send(text)),
        "disconnect": lambda _: did("disconnect", omegle.disconnect()),
        # Its thread may be polling still.
        "end": lambda _: os._exit(0),
    }
    for line in sys.stdin:
        name, _, text = line.rstrip("\n").partition(" ")
        commands[name](text)


main()
