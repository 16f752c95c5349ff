"""A real Apache Kafka broker, and kcat, a real client of it.

One node that is broker and controller, on the loopback device only, of any version of Kafka that Maven has. Its data
directory is a Kafka data directory as any other: put partitions there and take them away while it is stopped.
"""

import atexit
import base64
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

from kafka_judge import KAFKA_VERSION, ending_with_this, java_command

TIMEOUT_S = 120
POLL_INTERVAL_S = 0.02
STARTED = "Kafka Server started"
ADDRESS_TAKEN = "Address already in use"

# One partition, one replica, little memory, and nothing that is put off until the broker has nothing else to do.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "num.network.threads": 1,
    "num.io.threads": 2,
    "offsets.topic.num.partitions": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": 2 << 20,
    "log.cleaner.backoff.ms": 50,
    "log.initial.task.delay.ms": 0,
    # A broker that was killed cannot register again before the controller has given up the old one.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
}


class BrokerError(Exception):
    """The broker ended, did not start, or a client of it failed."""


def wait_until(condition, what):
    """Returns what `condition` answers, once that is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise BrokerError(f"waited {TIMEOUT_S} s until {what}")
        time.sleep(POLL_INTERVAL_S)
    return answer


def free_ports(count):
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Broker:
    """A broker that is started and stopped again and again over one data directory; close() ends and removes it."""

    def __init__(self, version=KAFKA_VERSION, settings=None):
        """With these settings in addition to, or in place of, those above."""
        self.version = version
        self._settings = settings or {}
        self._process = None
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix="varve-broker-"))
        self.data = self._directory / "data"
        self.log_path = self._directory / "broker.log"
        atexit.register(self.close)
        try:
            self._format()
        except BaseException:
            self.close()
            raise

    def close(self):
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._directory)
        atexit.unregister(self.close)

    @property
    def is_running(self):
        """False where it was not started or was ended. It may not end by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise BrokerError(f"the broker of {self.version} has ended:\n{self.log()}")
        return self._process is not None

    def partition(self, topic, number=0):
        return self.data / f"{topic}-{number}"

    def start(self):
        """Returns once the broker serves clients."""
        while not self._started():
            pass

    def ensure_running(self):
        if not self.is_running:
            self.start()

    def stop(self):
        """As an operator stops it: everything is written, and the clean marker too."""
        self._end(signal.SIGTERM)
        if not (self.data / ".kafka_cleanshutdown").exists():
            raise BrokerError(f"no clean stop:\n{self.log()}")

    def kill(self):
        self._end(signal.SIGKILL)

    def log(self):
        """What the broker logged since it was last started, the last 20,000 characters of it."""
        return self.log_path.read_text(errors="replace")[-20_000:] if self.log_path.exists() else ""

    def _end(self, number):
        process, self._process = self._process, None
        if process.poll() is None:
            os.kill(process.pid, number)
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise BrokerError(f"did not end within {TIMEOUT_S} s:\n{self.log()}") from None

    def _write_settings(self):
        """New ports each time: those of last time may be somebody else's now."""
        self.port, controller_port = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        settings = SETTINGS | self._settings | {
            "log.dirs": self.data,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller_port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}"}
        path = self._directory / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path

    def _format(self):
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = java_command("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config",
                               self._write_settings(), version=self.version)
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise BrokerError(f"StorageTool of {self.version}: {done.stdout}{done.stderr}")

    def _started(self):
        """Starts the broker; false if somebody else took a port meanwhile."""
        settings = self._write_settings()
        with open(self.log_path, "wb") as log:
            self._process = subprocess.Popen(
                ending_with_this(java_command("kafka.Kafka", settings, version=self.version,
                                              options=["-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
                                                       "-Dorg.slf4j.simpleLogger.showDateTime=true"])),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        wait_until(lambda: STARTED in self._whole_log() or self._process.poll() is not None, "the broker is started")
        if self._process.poll() is None:
            return True
        self._process = None
        if ADDRESS_TAKEN not in self._whole_log():
            raise BrokerError(f"the broker of {self.version} ended:\n{self.log()}")
        return False

    def _whole_log(self):
        return self.log_path.read_text(errors="replace")
