import FeatureCore
import TestSupport

/// SplitMix64: the same documents for the same seed, everywhere.
struct EventRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  mutating func chance(_ one: Int) -> Bool { below(one) == 0 }
  mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// A decoder with a row and an arena. Every payload is decoded in memory of exactly its size, so that an
/// address sanitizer sees a read beyond it.
final class EventReader {
  let schema: EventSchema
  private var decoder: EventDecoder
  private let row: UnsafeMutablePointer<Scalar>
  private let arena = TextArena()

  init(_ source: Source, zones: [String: TimeZoneRules] = ["UTC": .utc]) {
    schema = EventSchema(source, zones: zones)
    decoder = EventDecoder(schema)
    row = .allocate(capacity: schema.columns.count)
    row.initialize(repeating: .failed(.domain), count: schema.columns.count)
  }

  deinit { row.deallocate() }

  func read(_ payload: [UInt8]) throws(DecodeFailure) -> [FeatureValue] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: payload)
    arena.reset()
    row.update(repeating: .failed(.domain), count: schema.columns.count)
    try decoder.decode(UnsafeRawBufferPointer(memory), into: row, arena: arena)
    return schema.columns.indices.map { FeatureValue(row[$0], schema.columns[$0].type) }
  }

  func read(_ payload: String) throws(DecodeFailure) -> [FeatureValue] { try read([UInt8](payload.utf8)) }

  func failure(_ payload: [UInt8]) -> DecodeFailure? {
    do throws(DecodeFailure) {
      _ = try read(payload)
      return nil
    } catch {
      return error
    }
  }

  func failure(_ payload: String) -> DecodeFailure? { failure([UInt8](payload.utf8)) }

  /// A sentence, or "accepted".
  func message(_ payload: String) -> String { failure(payload)?.message(schema) ?? "accepted" }
}

extension Source {
  /// A column of every type, and one of every unit.
  static let everyType = Source(
    "events", topic: "events", timestamp: Timestamp(field: "ts", unit: .milliseconds),
    fields: [
      Field("s", .string), Field("i", .int64), Field("d", .double), Field("b", .bool),
      Field("ts", .timestamp), Field("at_s", .timestamp, unit: .seconds),
      Field("at_us", .timestamp, unit: .microseconds), Field("at_ns", .timestamp, unit: .nanoseconds),
      Field("at", .timestamp, unit: .rfc3339),
    ])

  /// Two keys, one of them the time.
  static let keyed = Source(
    "clicks", topic: "clicks", key: "user", timestamp: Timestamp(field: "ts", unit: .milliseconds),
    fields: [Field("user", .string), Field("price", .double)])
}
