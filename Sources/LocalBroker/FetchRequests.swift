import BrokerCore
import NIOCore

/// A fetch as it was asked for.
struct FetchRequest {
  struct Wanted {
    var partition: Int32
    var leaderEpoch: Int32
    var offset: Int64
    var maxBytes: Int
  }

  var maxWait: Int32
  var minBytes: Int
  var maxBytes: Int
  var isolation: Isolation
  var sessionEpoch: Int32
  var topics: [(name: String, partitions: [Wanted])]

  /// As Kafka's `fetch.max.bytes`: bounds the memory of one reply.
  static let maxBytesMax = 55 << 20

  init(_ reader: inout WireReader, version: Int16) throws {
    _ = try reader.int32()
    maxWait = try reader.int32()
    minBytes = Int(try reader.int32())
    maxBytes = min(Int(try reader.int32()), Self.maxBytesMax)
    isolation = Isolation(rawValue: try reader.int8()) ?? .readUncommitted
    if version >= 7 { _ = try reader.int32() }
    sessionEpoch = version >= 7 ? try reader.int32() : -1
    topics = try reader.topics { reader in
      let partition = try reader.int32()
      let leaderEpoch = version >= 9 ? try reader.int32() : -1
      let offset = try reader.int64()
      if version >= 5 { _ = try reader.int64() }
      return try Wanted(
        partition: partition, leaderEpoch: leaderEpoch, offset: offset, maxBytes: Int(reader.int32()))
    }
  }
}

/// A fetch that waits for records.
struct WaitingFetch {
  let id: UInt64
  let call: Call
  let request: FetchRequest
  let timer: Scheduled<Void>
}

/// The fetches that wait, found again by the partitions they wait for.
final class WaitingFetches {
  private var waiting: [UInt64: WaitingFetch] = [:]
  private var byPlace: [TopicPartition: Set<UInt64>] = [:]
  private var grown: Set<UInt64> = []
  private var nextId: UInt64 = 0

  func reserveId() -> UInt64 {
    nextId += 1
    return nextId
  }

  func add(_ fetch: WaitingFetch) {
    waiting[fetch.id] = fetch
    for place in fetch.places { byPlace[place, default: []].insert(fetch.id) }
  }

  func grew(_ place: TopicPartition) {
    guard let ids = byPlace[place] else { return }
    grown.formUnion(ids)
  }

  func wakeAll() { grown.formUnion(waiting.keys) }

  /// The fetches whose partitions grew since the last time.
  func takeGrown() -> [WaitingFetch] {
    guard !grown.isEmpty else { return [] }
    defer { grown = [] }
    return grown.sorted().compactMap { waiting[$0] }
  }

  @discardableResult
  func remove(_ id: UInt64) -> WaitingFetch? {
    guard let fetch = waiting.removeValue(forKey: id) else { return nil }
    fetch.timer.cancel()
    for place in fetch.places {
      byPlace[place]?.remove(id)
      if byPlace[place]?.isEmpty == true { byPlace[place] = nil }
    }
    return fetch
  }

  func forget(_ peer: any Peer) {
    for fetch in waiting.values where fetch.call.peer === peer { remove(fetch.id) }
  }
}

extension WaitingFetch {
  fileprivate var places: [TopicPartition] {
    request.topics.flatMap { topic in topic.partitions.map { TopicPartition(topic.name, $0.partition) } }
  }
}

/// What a fetch found so far.
private struct Found {
  var topics: [(name: String, partitions: [(wanted: Int32, result: Result<Fetched, KafkaError>)])] = []
  var byteCount = 0
  var hasError = false
}

extension RequestHandler {
  func fetch(_ call: inout Call) throws -> Outcome {
    let request = try FetchRequest(&call.reader, version: call.version)
    // There are no fetch sessions: replies say so, and clients go on sending whole requests.
    guard request.sessionEpoch <= 0 else { return .reply(Self.sessionNotFound(call)) }
    let found = read(request)
    if found.hasError || found.byteCount >= request.minBytes || request.maxWait <= 0 || request.topics.isEmpty
    {
      return .reply(Self.encode(found, call))
    }
    let id = fetches.reserveId()
    let timer = call.peer.eventLoop.assumeIsolated().scheduleTask(
      in: .milliseconds(Int64(request.maxWait))
    ) { [weak self] () -> Void in
      guard let self, let waiting = fetches.remove(id) else { return }
      waiting.call.peer.complete(Self.encode(read(waiting.request), waiting.call))
    }
    fetches.add(WaitingFetch(id: id, call: call, request: request, timer: timer))
    return .later
  }

  /// Answers a waiting fetch if it has enough now.
  func retry(_ waiting: WaitingFetch) {
    let found = read(waiting.request)
    guard found.hasError || found.byteCount >= waiting.request.minBytes else { return }
    fetches.remove(waiting.id)
    waiting.call.peer.complete(Self.encode(found, waiting.call))
  }

  private func read(_ request: FetchRequest) -> Found {
    var found = Found()
    // Clients that take nothing don't fill the memory: the others' replies become shorter, down to one batch.
    let bytesMax = min(request.maxBytes, max(0, configuration.repliesBytesMax - unsentBytes))
    for topic in request.topics {
      var results: [(wanted: Int32, result: Result<Fetched, KafkaError>)] = []
      for wanted in topic.partitions {
        do throws(KafkaError) {
          let place = TopicPartition(topic.name, wanted.partition)
          let room = min(wanted.maxBytes, bytesMax - found.byteCount)
          let fetched = try partition(place, leaderEpoch: wanted.leaderEpoch).read(
            from: wanted.offset, maxBytes: room, isolation: request.isolation,
            firstWhole: found.byteCount == 0)
          found.byteCount += fetched.byteCount
          results.append((wanted.partition, .success(fetched)))
        } catch {
          found.hasError = true
          results.append((wanted.partition, .failure(error)))
        }
      }
      found.topics.append((topic.name, results))
    }
    return found
  }

  private static func sessionNotFound(_ call: Call) -> WireWriter {
    let fetchSessionIdNotFound: Int16 = 70
    var writer = call.reply(throttleFrom: 0)
    writer.int16(fetchSessionIdNotFound)
    writer.int32(0)
    writer.array([Int]()) { _, _ in }
    return writer
  }

  private static func encode(_ found: Found, _ call: Call) -> WireWriter {
    let version = call.version
    var writer = call.reply(capacity: found.byteCount + 1_024)
    writer.int32(0)
    if version >= 7 {
      writer.int16(KafkaError.none.rawValue)
      writer.int32(0)
    }
    writer.topics(found.topics) { writer, _, partition in
      writer.int32(partition.wanted)
      let fetched = try? partition.result.get()
      let error: KafkaError = if case .failure(let error) = partition.result { error } else { .none }
      writer.int16(error.rawValue)
      writer.int64(fetched?.highWatermark ?? -1)
      writer.int64(fetched?.lastStableOffset ?? -1)
      if version >= 5 { writer.int64(fetched?.logStartOffset ?? -1) }
      writer.array(fetched?.aborted ?? []) { writer, aborted in
        writer.int64(aborted.producerId)
        writer.int64(aborted.firstOffset)
      }
      if version >= 11 { writer.int32(-1) }
      writer.bytes(count: fetched?.byteCount ?? 0) { buffer in
        for batch in fetched?.batches ?? [] { buffer.writeBytes(batch.bytes) }
      }
    }
    return writer
  }
}
