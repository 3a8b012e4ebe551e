/// What a task of a join keeps of one key: the right events that may still follow a left one.
public struct RightEvents: Hashable, Sendable {
  /// A right event.
  public struct Event: Hashable, Sendable {
    /// Its time.
    public var time: Int64
    /// Its place in the join's log.
    public var offset: Int64
    /// How far the streams had come when it did.
    public var passed: Int64
    /// What the record carries of it, as members of a JSON object, each after a comma.
    public var fields: [UInt8]

    /// An event from its parts.
    public init(time: Int64, offset: Int64, passed: Int64, fields: [UInt8]) {
      self.time = time
      self.offset = offset
      self.passed = passed
      self.fields = fields
    }

    var bytes: Int { 40 + fields.count }
  }

  /// In order of time, and of offsets where times are equal.
  public private(set) var events: [Event] = []

  /// Bytes that the events take up in memory, about.
  public private(set) var bytes = 16

  /// None.
  public init() {}

  /// Events of a key that are kept at most.
  public static let eventsMax = 4_096

  /// Adds an event, and forgets those that no left event can be followed by any more: `isOver` says it of a time. False: there
  /// is no room.
  public mutating func insert(_ event: Event, isOver: (Int64) -> Bool) -> Bool {
    forget(isOver)
    guard events.count < Self.eventsMax, bytes + event.fields.count < Limits.stateBytesMax / 2 else {
      return false
    }
    let place = events.lastIndex { ($0.time, $0.offset) <= (event.time, event.offset) }.map { $0 + 1 } ?? 0
    events.insert(event, at: place)
    bytes += event.bytes
    return true
  }

  /// Forgets the events whose times are over.
  public mutating func forget(_ isOver: (Int64) -> Bool) {
    guard let first = events.first, isOver(first.time) else { return }
    events.removeAll { isOver($0.time) }
    bytes = events.reduce(16) { $0 + $1.bytes }
  }

  /// The first event that follows a left one of `time` at `offset` of the log, as far as is known when the streams have come
  /// to `due`.
  public func first(after time: Int64, within: Int64, offset: Int64, due: Int64) -> Event? {
    events.first { event in
      let (distance, isFar) = event.time.subtractingReportingOverflow(time)
      return event.time > time && !isFar && distance <= within
        && (event.passed < due || event.offset < offset)
    }
  }

  private static let format: UInt8 = 1

  /// The events that these bytes are of.
  public init(_ bytes: UnsafeRawBufferPointer, _ plan: JoinPlan) throws(StateError) {
    var reader = ByteReader(bytes)
    try reader.header(Self.format, plan)
    let count = try reader.count(atMost: Self.eventsMax)
    var last: (time: Int64, offset: Int64) = (.min, .min)
    for _ in 0..<count {
      let time = try reader.signed()
      let offset = try reader.signed()
      // The elements of a record may have one time.
      guard last <= (time, offset) else { throw reader.corrupt("the events are not in order") }
      last = (time, offset)
      let passed = try reader.signed()
      let length = try reader.count(atMost: bytes.count)
      let event = Event(time: time, offset: offset, passed: passed, fields: Array(try reader.raw(length)))
      events.append(event)
      self.bytes += event.bytes
    }
    guard reader.isAtEnd else { throw reader.corrupt("there is more than the events") }
  }

  /// Appends the canonical bytes: of no events none.
  public func encode(_ plan: JoinPlan, into bytes: inout [UInt8]) {
    if events.isEmpty { return }
    ByteWriter.append(to: &bytes) { writer in
      writer.byte(Self.format)
      writer.fixed(plan.fingerprint)
      writer.varint(UInt64(events.count))
      for event in events {
        writer.signed(event.time)
        writer.signed(event.offset)
        writer.signed(event.passed)
        writer.varint(UInt64(event.fields.count))
        writer.raw(event.fields)
      }
    }
  }
}
