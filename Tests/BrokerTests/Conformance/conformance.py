"""What a Kafka broker must do, told by confluent-kafka: runs against any broker.

    python conformance.py BROKERS NAME...     runs the named checks, or all without a name
    python conformance.py --list              names them

Only documented behaviour is relied on, so the same checks hold for Apache Kafka. Every check uses topics, groups
and transactional ids of its own. A check that fails says what it saw; the exit status tells how many failed.
"""

import functools
import os
import signal
import subprocess
import sys
import time
import traceback
import uuid

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    OFFSET_BEGINNING,
    OFFSET_END,
    Producer,
    TopicPartition,
    ConsumerGroupTopicPartitions,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

BROKERS = ""
CHECKS = {}
PATIENCE = 60


def check(function):
    CHECKS[function.__name__] = function
    return function


# Helpers


@functools.cache
def admin():
    # One for the process: a future fails when the client that made it is collected.
    return AdminClient({"bootstrap.servers": BROKERS})


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def new_topic(partitions=1, **config):
    name = unique("conformance")
    futures = admin().create_topics(
        [NewTopic(name, partitions, 1, config={k.replace("_", "."): v for k, v in config.items()})]
    )
    futures[name].result(PATIENCE)
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        topics = admin().list_topics(timeout=PATIENCE).topics
        if name in topics and len(topics[name].partitions) == partitions:
            return name
        time.sleep(0.05)
    raise AssertionError(f"the topic {name} did not appear")


def producer(**config):
    settings = {"bootstrap.servers": BROKERS, "linger.ms": 0}
    settings.update({k.replace("_", "."): v for k, v in config.items()})
    return Producer(settings)


def transactional(transactional_id=None, **config):
    result = producer(transactional_id=transactional_id or unique("txn"), **config)
    result.init_transactions(PATIENCE)
    return result


def consumer(group=None, isolation="read_committed", **config):
    settings = {
        "bootstrap.servers": BROKERS,
        "group.id": group or unique("group"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": isolation,
        "fetch.wait.max.ms": 50,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
    }
    settings.update({k.replace("_", "."): v for k, v in config.items()})
    return Consumer(settings)


def produce(to, topic, values, **options):
    errors = []
    for value in values:
        to.produce(topic, value, on_delivery=lambda e, m: e and errors.append(e), **options)
    assert to.flush(PATIENCE) == 0, "records stayed unsent"
    assert not errors, errors[0]


def read(topic, count, partition=0, isolation="read_committed", start=OFFSET_BEGINNING, extra=0.5):
    """`count` messages of a partition, and whatever more comes within `extra` seconds."""
    reader = consumer(isolation=isolation)
    reader.assign([TopicPartition(topic, partition, start)])
    found = []
    deadline = time.time() + PATIENCE
    while len(found) < count and time.time() < deadline:
        message = reader.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message)
    deadline = time.time() + extra
    while time.time() < deadline:
        message = reader.poll(0.1)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message)
    reader.close()
    return found


def values(topic, count, **options):
    return [message.value() for message in read(topic, count, **options)]


def committed(group, topic, partition=0):
    reader = consumer(group)
    offset = reader.committed([TopicPartition(topic, partition)], PATIENCE)[0].offset
    reader.close()
    return offset


def expect(code, action):
    try:
        action()
    except KafkaException as failure:
        error = failure.args[0]
        codes = code if isinstance(code, tuple) else (code,)
        assert error.code() in codes, f"expected {codes}, got {error!r}"
        return error
    raise AssertionError(f"expected error {code}, but it went well")


def equal(found, wanted):
    assert found == wanted, f"expected {wanted!r}, found {found!r}"


def eventually(condition, what):
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


# Topics


@check
def partitions_are_added_and_never_taken_away():
    topic = new_topic(2)
    writer = producer()
    produce(writer, topic, ["0"], partition=0)
    produce(writer, topic, ["1"], partition=1)

    def grow(name, count, assignment=None, validate_only=False):
        wanted = NewPartitions(name, count, assignment) if assignment else NewPartitions(name, count)
        return admin().create_partitions([wanted], validate_only=validate_only)[name].result(PATIENCE)

    def count():
        return len(admin().list_topics(topic, timeout=PATIENCE).topics[topic].partitions)

    expect(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: grow(unique("nobody"), 3))
    expect(KafkaError.INVALID_PARTITIONS, lambda: grow(topic, 2))
    expect(KafkaError.INVALID_PARTITIONS, lambda: grow(topic, 1))
    node = next(iter(admin().list_topics(timeout=PATIENCE).brokers))
    expect(KafkaError.INVALID_REPLICA_ASSIGNMENT, lambda: grow(topic, 4, [[node]]))
    expect(KafkaError.INVALID_REPLICA_ASSIGNMENT, lambda: grow(topic, 3, [[node + 1000]]))
    grow(topic, 3, validate_only=True)
    equal(count(), 2)
    grow(topic, 3, [[node]])
    grow(topic, 5)
    eventually(lambda: count() == 5, "there are five partitions")
    # Producers learn of it with their next metadata.
    produce(producer(), topic, ["4"], partition=4)
    for partition in (0, 1, 4):
        equal(values(topic, 1, partition=partition, extra=0), [b"%d" % partition])


@check
def topics_are_created_described_and_deleted():
    topic = new_topic(3, cleanup_policy="compact", retention_ms="1000")
    resource = ConfigResource(ResourceType.TOPIC, topic)
    described = admin().describe_configs([resource])[resource].result(PATIENCE)
    equal(described["cleanup.policy"].value, "compact")
    equal(described["retention.ms"].value, "1000")
    again = admin().create_topics([NewTopic(topic, 1, 1)])[topic]
    expect(KafkaError.TOPIC_ALREADY_EXISTS, lambda: again.result(PATIENCE))
    wrong = admin().create_topics([NewTopic("not/valid", 1, 1)])["not/valid"]
    expect(KafkaError.TOPIC_EXCEPTION, lambda: wrong.result(PATIENCE))
    name = unique("conformance")
    wrong = admin().create_topics([NewTopic(name, 1, 1, config={"no.such.config": "1"})])[name]
    expect(KafkaError.INVALID_CONFIG, lambda: wrong.result(PATIENCE))
    wrong = admin().create_topics([NewTopic(name, 1, 77)])[name]
    expect(KafkaError.INVALID_REPLICATION_FACTOR, lambda: wrong.result(PATIENCE))
    admin().delete_topics([topic])[topic].result(PATIENCE)
    eventually(lambda: topic not in admin().list_topics(timeout=PATIENCE).topics, "the topic is gone")
    gone = admin().delete_topics([topic])[topic]
    expect(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: gone.result(PATIENCE))


@check
def unknown_topics_are_an_error():
    reader = consumer(allow_auto_create_topics=False)
    name = unique("missing")
    found = reader.list_topics(name, timeout=PATIENCE).topics[name]
    assert found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART, found.error
    reader.close()


# Records


@check
def keys_values_headers_and_timestamps_come_back():
    topic = new_topic()
    writer = producer()
    headers = [("a", b"1"), ("a", None), ("b", b"")]
    writer.produce(topic, b"value", b"key", headers=headers, timestamp=1_700_000_000_123)
    writer.produce(topic, b"", None)
    writer.produce(topic, None, b"key")
    equal(writer.flush(PATIENCE), 0)
    first, second, third = read(topic, 3)
    equal((first.key(), first.value(), first.headers()), (b"key", b"value", headers))
    equal(first.timestamp(), (1, 1_700_000_000_123))
    equal((second.key(), second.value()), (None, b""))
    equal((third.key(), third.value()), (b"key", None))
    equal([m.offset() for m in (first, second, third)], [0, 1, 2])


@check
def append_time_is_the_brokers():
    topic = new_topic(message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    produce(producer(), topic, [b"a", b"b"], timestamp=1)
    for message in read(topic, 2):
        kind, when = message.timestamp()
        equal(kind, 2)
        assert before - 5000 <= when <= before + PATIENCE * 1000, when


@check
def every_codec_passes():
    wanted = [str(i).encode() * 50 for i in range(500)]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = new_topic()
        produce(producer(compression_codec=codec, linger_ms=20), topic, wanted)
        equal(values(topic, 500, extra=0), wanted)


@check
def large_batches_pass_and_too_large_ones_do_not():
    topic = new_topic()
    writer = producer(message_max_bytes=4_000_000)
    big = os.urandom(1_000_000)
    produce(writer, topic, [big, b"small", big])
    equal(values(topic, 3), [big, b"small", big])
    errors = []
    writer.produce(topic, os.urandom(2_000_000), on_delivery=lambda e, m: errors.append(e))
    writer.flush(PATIENCE)
    equal(errors[0].code(), KafkaError.MSG_SIZE_TOO_LARGE)


@check
def compacted_topics_need_keys():
    topic = new_topic(cleanup_policy="compact")
    errors = []
    writer = producer()
    writer.produce(topic, b"v", on_delivery=lambda e, m: errors.append(e))
    writer.flush(PATIENCE)
    assert errors[0] is not None and errors[0].code() == KafkaError.INVALID_RECORD, errors
    produce(writer, topic, [b"v"], key=b"k")
    equal(values(topic, 1), [b"v"])


@check
def every_acks_setting_works():
    for acks in ("0", "1", "all"):
        topic = new_topic()
        produce(producer(acks=acks), topic, [b"a", b"b"])
        equal(values(topic, 2), [b"a", b"b"])


@check
def idempotent_producers_keep_order():
    topic = new_topic()
    writer = producer(enable_idempotence=True, linger_ms=1, batch_num_messages=7)
    wanted = [str(i).encode() for i in range(5_000)]
    produce(writer, topic, wanted)
    equal(values(topic, 5_000, extra=0.2), wanted)


@check
def watermarks_and_times_are_found():
    topic = new_topic()
    writer = producer()
    for i in range(10):
        produce(writer, topic, [b"x"], timestamp=1000 + 10 * i)
    reader = consumer()
    equal(reader.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE), (0, 10))

    def at(when):
        return reader.offsets_for_times([TopicPartition(topic, 0, when)], PATIENCE)[0].offset

    equal([at(0), at(1000), at(1001), at(1045), at(1090)], [0, 0, 1, 5, 9])
    equal(at(1091), OFFSET_END)
    reader.close()
    specs = {"earliest": OffsetSpec.earliest(), "latest": OffsetSpec.latest()}
    for name, wanted in (("earliest", 0), ("latest", 10)):
        place = TopicPartition(topic, 0)
        equal(admin().list_offsets({place: specs[name]})[place].result(PATIENCE).offset, wanted)


@check
def times_are_found_within_a_batch():
    topic = new_topic()
    writer = producer(linger_ms=200)
    for i in range(10):
        writer.produce(topic, b"x", timestamp=1000 + 10 * i)
    equal(writer.flush(PATIENCE), 0)
    reader = consumer()
    found = reader.offsets_for_times([TopicPartition(topic, 0, 1035)], PATIENCE)[0].offset
    equal(found, 4)
    reader.close()


@check
def out_of_range_offsets_reset():
    topic = new_topic()
    produce(producer(), topic, [b"a", b"b", b"c"])
    for policy, wanted in (("earliest", 0), ("latest", 3)):
        reader = consumer(auto_offset_reset=policy)
        reader.assign([TopicPartition(topic, 0, 100)])
        reader.poll(1)
        if policy == "latest":
            eventually(lambda: reader.poll(0.2) is None and arrived(reader, topic), "the reader is at the end")
            produce(producer(), topic, [b"d"])
        found = []
        eventually(lambda: gather(reader, found), "a record after the reset")
        if policy == "latest":
            equal(found[0].offset(), wanted)
        reader.close()
    reader = consumer(auto_offset_reset="error")
    reader.assign([TopicPartition(topic, 0, 100)])
    errors = []

    def fails():
        try:
            message = reader.poll(0.2)
        except KafkaException as failure:
            errors.append(failure.args[0].code())
            return True
        if message is not None and message.error() is not None:
            errors.append(message.error().code())
        return bool(errors)

    eventually(fails, "an error for an offset out of range")
    assert errors[0] in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE), errors
    reader.close()


def arrived(reader, topic):
    low, high = reader.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE)
    return reader.position([TopicPartition(topic, 0)])[0].offset in (high, -1001) and high == 3


def gather(reader, found):
    message = reader.poll(0.2)
    if message is not None and message.error() is None:
        found.append(message)
    return bool(found)


@check
def deleted_records_are_gone():
    topic = new_topic()
    produce(producer(), topic, [str(i).encode() for i in range(10)])
    place = TopicPartition(topic, 0, 4)
    low = admin().delete_records([place])[place].result(PATIENCE).low_watermark
    equal(low, 4)
    reader = consumer()
    equal(reader.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE), (4, 10))
    reader.close()
    equal([m.offset() for m in read(topic, 6)], list(range(4, 10)))
    beyond = TopicPartition(topic, 0, 11)
    expect(KafkaError.OFFSET_OUT_OF_RANGE, lambda: admin().delete_records([beyond])[beyond].result(PATIENCE))
    everything = TopicPartition(topic, 0, OFFSET_END)
    equal(admin().delete_records([everything])[everything].result(PATIENCE).low_watermark, 10)
    produce(producer(), topic, [b"after"])
    equal([(m.offset(), m.value()) for m in read(topic, 1)], [(10, b"after")])


@check
def fetches_wait_and_wake():
    topic = new_topic()
    reader = consumer(fetch_wait_max_ms=20_000, isolation="read_uncommitted")
    reader.assign([TopicPartition(topic, 0, 0)])
    reader.poll(1)
    start = time.time()
    produce(producer(), topic, [b"x"])
    found = []
    eventually(lambda: gather(reader, found), "the record")
    assert time.time() - start < 5, "the fetch did not wake when a record came"
    reader.close()


# Transactions


@check
def read_committed_hides_open_and_aborted_transactions():
    topic = new_topic()
    produce(producer(), topic, [b"plain"])
    writer = transactional()
    writer.begin_transaction()
    produce(writer, topic, [b"aborted-1", b"aborted-2"])
    writer.abort_transaction(PATIENCE)
    writer.begin_transaction()
    produce(writer, topic, [b"committed"])
    writer.commit_transaction(PATIENCE)
    other = transactional()
    other.begin_transaction()
    produce(other, topic, [b"open"])
    produce(producer(), topic, [b"after"])
    equal(values(topic, 2), [b"plain", b"committed"])
    every = [b"plain", b"aborted-1", b"aborted-2", b"committed", b"open", b"after"]
    equal(values(topic, 6, isolation="read_uncommitted"), every)
    reader = consumer()
    stable = reader.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE)[1]
    reader.close()
    # Five records and two markers lie before the open transaction's first record.
    equal(stable, 6)
    other.commit_transaction(PATIENCE)
    equal(values(topic, 4), [b"plain", b"committed", b"open", b"after"])


@check
def transactions_span_partitions_and_topics():
    first, second = new_topic(2), new_topic()
    writer = transactional()
    for commit in (False, True):
        writer.begin_transaction()
        for topic, partition in ((first, 0), (first, 1), (second, 0)):
            produce(writer, topic, [str(commit).encode()], partition=partition)
        writer.commit_transaction(PATIENCE) if commit else writer.abort_transaction(PATIENCE)
    for topic, partition in ((first, 0), (first, 1), (second, 0)):
        equal(values(topic, 1, partition=partition), [b"True"])


@check
def offsets_count_with_their_transaction():
    source, sink, group = new_topic(), new_topic(), unique("group")
    produce(producer(), source, [b"a", b"b"])
    reader = consumer(group)
    reader.subscribe([source])
    found = []
    eventually(lambda: gather(reader, found), "a record")
    writer = transactional()
    for commit, wanted in ((False, -1001), (True, 1)):
        writer.begin_transaction()
        produce(writer, sink, [b"out"])
        writer.send_offsets_to_transaction(
            [TopicPartition(source, 0, 1)], reader.consumer_group_metadata(), PATIENCE
        )
        writer.commit_transaction(PATIENCE) if commit else writer.abort_transaction(PATIENCE)
        equal(reader.committed([TopicPartition(source, 0)], PATIENCE)[0].offset, wanted)
    reader.close()
    equal(values(sink, 1), [b"out"])


@check
def fetching_offsets_waits_for_open_transactions():
    source, group = new_topic(), unique("group")
    reader = consumer(group)
    reader.subscribe([source])
    eventually(lambda: reader.poll(0.2) is None and reader.assignment(), "the assignment")
    writer = transactional()
    writer.begin_transaction()
    writer.send_offsets_to_transaction(
        [TopicPartition(source, 0, 7)], reader.consumer_group_metadata(), PATIENCE
    )
    place = [TopicPartition(source, 0)]
    # UNSTABLE_OFFSET_COMMIT is retried by the client until its patience ends.
    expect(
        (KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT), lambda: stable_offset(reader.committed(place, 2))
    )
    writer.commit_transaction(PATIENCE)
    equal(reader.committed(place, PATIENCE)[0].offset, 7)
    reader.close()


def stable_offset(found):
    if found[0].error is not None:
        raise KafkaException(found[0].error)
    return found[0].offset


FENCED = (
    KafkaError._FENCED,
    KafkaError._FATAL,
    KafkaError._STATE,
    KafkaError._PURGE_QUEUE,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
)


@check
def zombies_are_fenced_at_produce():
    topic, name = new_topic(), unique("txn")
    zombie = transactional(name)
    zombie.begin_transaction()
    produce(zombie, topic, [b"zombie-1"])
    heir = transactional(name)

    def produce_again():
        errors = []
        zombie.produce(topic, b"zombie-2", on_delivery=lambda e, m: errors.append(e))
        try:
            zombie.flush(PATIENCE)
        except SystemError as failure:
            # The client raises a fatal error amid the delivery callback.
            raise failure.__cause__
        if errors and errors[0] is not None:
            raise KafkaException(errors[0])

    expect(FENCED, produce_again)
    expect(FENCED, lambda: zombie.commit_transaction(PATIENCE))
    heir.begin_transaction()
    produce(heir, topic, [b"heir"])
    heir.commit_transaction(PATIENCE)
    equal(values(topic, 1), [b"heir"])


@check
def zombies_are_fenced_at_commit():
    topic, name = new_topic(), unique("txn")
    zombie = transactional(name)
    zombie.begin_transaction()
    produce(zombie, topic, [b"zombie"])
    heir = transactional(name)
    expect(FENCED, lambda: zombie.commit_transaction(PATIENCE))
    heir.begin_transaction()
    produce(heir, topic, [b"heir"])
    heir.commit_transaction(PATIENCE)
    equal(values(topic, 1), [b"heir"])


@check
def zombies_are_fenced_at_offsets():
    topic, name, group = new_topic(), unique("txn"), unique("group")
    reader = consumer(group)
    reader.subscribe([topic])
    eventually(lambda: reader.poll(0.2) is None and reader.assignment(), "the assignment")
    zombie = transactional(name)
    zombie.begin_transaction()
    produce(zombie, topic, [b"zombie"])
    heir = transactional(name)
    offsets = [TopicPartition(topic, 0, 9)]
    expect(
        FENCED,
        lambda: zombie.send_offsets_to_transaction(offsets, reader.consumer_group_metadata(), PATIENCE),
    )
    heir.begin_transaction()
    heir.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], reader.consumer_group_metadata(), PATIENCE)
    heir.commit_transaction(PATIENCE)
    equal(reader.committed([TopicPartition(topic, 0)], PATIENCE)[0].offset, 1)
    reader.close()


@check
def killed_producers_transactions_are_recovered():
    topic, name = new_topic(), unique("txn")
    child = subprocess.Popen(
        [sys.executable, __file__, BROKERS, "--leave-open", topic, name], stdout=subprocess.PIPE
    )
    equal(child.stdout.readline(), b"open\n")
    child.send_signal(signal.SIGKILL)
    child.wait()
    equal(values(topic, 1, isolation="read_uncommitted"), [b"left open"])
    equal(values(topic, 0), [])
    heir = transactional(name)
    heir.begin_transaction()
    produce(heir, topic, [b"heir"])
    heir.commit_transaction(PATIENCE)
    equal(values(topic, 1), [b"heir"])


def leave_open(topic, name):
    writer = transactional(name)
    writer.begin_transaction()
    produce(writer, topic, [b"left open"])
    print("open", flush=True)
    time.sleep(PATIENCE * 10)


@check
def late_transactions_are_aborted():
    topic = new_topic()
    writer = transactional(transaction_timeout_ms=1500, message_timeout_ms=1500)
    writer.begin_transaction()
    produce(writer, topic, [b"late"])
    produce(producer(), topic, [b"after"])
    # Kafka looks for late transactions every ten seconds.
    equal(values(topic, 1), [b"after"])
    try:
        writer.commit_transaction(PATIENCE)
    except KafkaException as failure:
        assert failure.args[0].code() != KafkaError.NO_ERROR
    else:
        raise AssertionError("a transaction was committed after its timeout")
    equal(values(topic, 1), [b"after"])


# Groups


@check
def offsets_are_committed_and_found_again():
    topic, group = new_topic(2), unique("group")
    produce(producer(), topic, [b"a", b"b", b"c"], partition=1)
    reader = consumer(group)
    reader.assign([TopicPartition(topic, 1, 0)])
    place = TopicPartition(topic, 1, 2, "note")
    reader.commit(offsets=[place], asynchronous=False)
    reader.close()
    reader = consumer(group)
    found = reader.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], PATIENCE)
    equal([p.offset for p in found], [-1001, 2])
    equal(found[1].metadata, "note")
    reader.subscribe([topic])
    messages = []
    eventually(lambda: gather(reader, messages), "the record after the committed offset")
    equal(messages[0].value(), b"c")
    reader.close()
    listed = admin().list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(PATIENCE)
    equal([(p.topic, p.partition, p.offset) for p in listed.topic_partitions], [(topic, 1, 2)])


@check
def groups_are_listed_and_described():
    topic, group = new_topic(), unique("group")
    reader = consumer(group, client_id="some-client", partition_assignment_strategy="range")
    reader.subscribe([topic])
    eventually(lambda: reader.poll(0.2) is None and reader.assignment(), "the assignment")
    listed = admin().list_consumer_groups().result().valid
    assert group in [g.group_id for g in listed], listed
    described = admin().describe_consumer_groups([group])[group].result(PATIENCE)
    equal(str(described.state).split(".")[-1], "STABLE")
    equal([(m.client_id, [(p.topic, p.partition) for p in m.assignment.topic_partitions]) for m in described.members],
          [("some-client", [(topic, 0)])])
    reader.close()
    eventually(
        lambda: str(admin().describe_consumer_groups([group])[group].result(PATIENCE).state).endswith("EMPTY"),
        "the group is empty",
    )


@check
def stale_generations_cannot_commit():
    topic, group = new_topic(2), unique("group")
    first = consumer(group)
    first.subscribe([topic])
    eventually(lambda: first.poll(0.2) is None and len(first.assignment()) == 2, "the first assignment")
    stale = first.consumer_group_metadata()
    second = consumer(group)
    second.subscribe([topic])
    eventually(
        lambda: (first.poll(0.1), second.poll(0.1), len(first.assignment()) == len(second.assignment()) == 1)[2],
        "the second generation",
    )
    writer = transactional()
    writer.begin_transaction()
    expect(
        (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID),
        lambda: writer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], stale, PATIENCE),
    )
    writer.abort_transaction(PATIENCE)
    equal(second.committed([TopicPartition(topic, 0)], PATIENCE)[0].offset, -1001)
    first.close()
    second.close()
    late = consumer(group, session_timeout_ms=6000)
    late.subscribe([topic])
    eventually(lambda: late.poll(0.2) is None and len(late.assignment()) == 2, "the assignment")
    late.close()


@check
def offsets_cannot_be_forced_on_an_active_group():
    topic, group = new_topic(), unique("group")
    member = consumer(group)
    member.subscribe([topic])
    eventually(lambda: member.poll(0.2) is None and member.assignment(), "the assignment")
    outsider = consumer(group)
    outsider.assign([TopicPartition(topic, 0, 0)])
    expect(
        KafkaError.UNKNOWN_MEMBER_ID,
        lambda: outsider.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False),
    )
    outsider.close()
    member.close()


def three_members(strategy):
    topic, group = new_topic(6), unique("group")
    config = {"partition_assignment_strategy": strategy}
    here = [consumer(group, **config) for _ in range(2)]
    for member in here:
        member.subscribe([topic])
    child = subprocess.Popen(
        [sys.executable, __file__, BROKERS, "--member", topic, group, strategy], stdout=subprocess.PIPE
    )

    def shares(members, count):
        for member in members:
            member.poll(0.05)
        held = [p.partition for member in members for p in member.assignment()]
        return [len(member.assignment()) for member in members] == [count] * len(members) and len(
            set(held)
        ) == count * len(members)

    try:
        eventually(lambda: shares(here, 2), f"two partitions each ({strategy})")
        # A killed member is missed when its session ends.
        child.send_signal(signal.SIGKILL)
        child.wait()
        eventually(lambda: shares(here, 3), f"three partitions each after a kill ({strategy})")
        # A member that leaves is missed at once.
        start = time.time()
        here.pop().close()
        eventually(lambda: shares(here, 6), f"all partitions after a leave ({strategy})")
        assert time.time() - start < 6, "leaving took as long as being killed"
        produce(producer(), topic, [b"x"], partition=5)
        found = []
        eventually(lambda: gather(here[0], found), "a record after the rebalances")
    finally:
        child.kill()
    here[0].close()


def run_member(topic, group, strategy):
    member = consumer(group, partition_assignment_strategy=strategy)
    member.subscribe([topic])
    while True:
        member.poll(0.1)


@check
def range_groups_rebalance_on_kill_and_leave():
    three_members("range")


@check
def sticky_groups_rebalance_on_kill_and_leave():
    three_members("cooperative-sticky")


@check
def static_members_come_back_without_a_rebalance():
    topic, group = new_topic(2), unique("group")
    rebalances = []
    stays = consumer(group, group_instance_id="stays")
    stays.subscribe([topic], on_assign=lambda c, p: rebalances.append(p))
    returns = consumer(group, group_instance_id="returns")
    returns.subscribe([topic])
    both = lambda: (stays.poll(0.1), returns.poll(0.1), len(stays.assignment()) == len(returns.assignment()) == 1)[2]
    eventually(both, "one partition each")
    before, mine = len(rebalances), returns.assignment()[0].partition
    returns.close()
    returns = consumer(group, group_instance_id="returns")
    returns.subscribe([topic])
    eventually(both, "one partition each again")
    equal((len(rebalances), returns.assignment()[0].partition), (before, mine))
    usurper = consumer(group, group_instance_id="returns")
    usurper.subscribe([topic])
    fenced = []

    def is_fenced():
        usurper.poll(0.05)
        stays.poll(0.05)
        try:
            message = returns.poll(0.05)
        except KafkaException as failure:
            fenced.append(failure.args[0].code())
            return True
        if message is not None and message.error() is not None:
            fenced.append(message.error().code())
        return any(c in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID) for c in fenced)

    eventually(is_fenced, "the old instance is fenced")
    for member in (usurper, stays):
        member.close()


@check
def topics_of_a_gigabyte_pass():
    topic = new_topic()
    size, count = 100_000, 10_800
    writer = producer(linger_ms=5, queue_buffering_max_kbytes=64_000, batch_size=900_000)
    payload = os.urandom(size - 8)
    errors = []
    for i in range(count):
        while True:
            try:
                writer.produce(topic, i.to_bytes(8, "big") + payload, on_delivery=lambda e, m: e and errors.append(e))
                break
            except BufferError:
                writer.poll(0.1)
        writer.poll(0)
    equal(writer.flush(PATIENCE * 2), 0)
    assert not errors, errors[0]
    reader = consumer(queued_max_messages_kbytes=64_000)
    reader.assign([TopicPartition(topic, 0, 0)])
    seen = 0
    deadline = time.time() + PATIENCE * 4
    while seen < count and time.time() < deadline:
        for message in reader.consume(100, 0.5):
            assert message.error() is None, message.error()
            equal(int.from_bytes(message.value()[:8], "big"), seen)
            assert len(message.value()) == size
            seen += 1
    equal(seen, count)
    reader.close()
    admin().delete_topics([topic])[topic].result(PATIENCE)


def main():
    global BROKERS
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CHECKS))
        return 0
    BROKERS = sys.argv[1]
    if sys.argv[2:3] == ["--leave-open"]:
        return leave_open(*sys.argv[3:])
    if sys.argv[2:3] == ["--member"]:
        return run_member(*sys.argv[3:])
    failures = 0
    for name in sys.argv[2:] or CHECKS:
        start = time.time()
        try:
            CHECKS[name]()
            print(f"ok      {name} ({time.time() - start:.1f} s)", flush=True)
        except BaseException:
            failures += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
