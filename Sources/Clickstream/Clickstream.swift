/// What was just written: one line of NDJSON, its newline included.
public struct ClickstreamLine: Sendable {
  /// Why a line is there.
  public enum Kind: Sendable {
    /// An event at the moment it happened.
    case fresh
    /// An event that was held back on its way.
    case late
    /// A repetition of a recent good line.
    case duplicate
    /// Truncated JSON, a value of a wrong type, no user, no time, invalid UTF-8, a time far in the future, or a
    /// number beyond 64 bits.
    case malformed
  }

  /// Why it is there.
  public let kind: Kind
  /// The event time at which it arrives, in milliseconds since the epoch; never less than that of the line
  /// before. What a sender paces itself by.
  public let arrivalMilliseconds: Int64
  /// Where in the buffer the user's id stands, the key of the record; empty if the line has none.
  public let userBytes: Range<Int>
}

/// An endless stream of shop events as NDJSON, the same bytes for the same options on any machine.
///
/// People arrive with the rhythm of the day, look at pages of items, click, view, fill carts and buy. Lines are
/// in the order of `ts`, except late and duplicate ones. A copy goes on independently from the same point.
public struct Clickstream: Sendable {
  private static let recentMax = 256

  /// What events that happen from now on carry as their time, in milliseconds since the epoch; nil: the stream's own
  /// time. For a stream that is sent as it happens: the sender sets it to its clock before each line.
  public var clockMilliseconds: Int64?

  private let options: ClickstreamOptions
  private let catalogue: Catalogue
  private let habits = Habits()
  private let userTable: ZipfTable
  private let itemTable: ZipfTable
  private let lateChance: Chance
  private let duplicateChance: Chance
  private let malformedChance: Chance
  /// Nanoseconds between two visits at mean busyness.
  private let arrivalGap: UInt64

  private var random: Random
  /// Nanoseconds since the start, like all times below.
  private var now: UInt64 = 0
  private var nextArrival: UInt64 = 0
  private var sessions = TimedHeap<UInt32>()
  private var slots: [Session] = []
  private var freeSlots: [UInt32] = []
  private var late = TimedHeap<ShopEvent>()
  private var recent: [ShopEvent] = []
  private var recentNext = 0
  private var eventsCount: UInt64 = 0
  private var sessionsCount: UInt64 = 0
  private var scratch = [UInt8](repeating: 0, count: LineFormat.lineBytesMax)

  /// A stream at its beginning. Traps if `options.mistake` is not nil.
  public init(_ options: ClickstreamOptions) {
    options.check()
    self.options = options
    catalogue = Catalogue(categories: UInt32(options.categories))
    userTable = ZipfTable(count: options.users, exponentQuarters: Int((options.userExponent * 4).rounded()))
    itemTable = ZipfTable(count: options.items, exponentQuarters: Int((options.itemExponent * 4).rounded()))
    lateChance = Chance(options.lateShare)
    duplicateChance = Chance(options.duplicateShare)
    malformedChance = Chance(options.malformedShare)
    arrivalGap = UInt64(1_000_000_000 * Habits.eventsPerSession / options.eventsPerSecond)
    random = Random(seed: options.seed)
    recent.reserveCapacity(Self.recentMax)
    scheduleArrival()
  }

  /// Appends the next line to a buffer. Nothing is allocated once the buffer and the stream have grown to size.
  public mutating func writeNext(into buffer: inout [UInt8]) -> ClickstreamLine {
    if random.happens(malformedChance) { return write(madeUpEvent(), .malformed, into: &buffer) }
    if !recent.isEmpty && random.happens(duplicateChance) {
      return write(recent[Int(random.below(UInt32(recent.count)))], .duplicate, into: &buffer)
    }
    while true {
      if let due = late.firstTime, due <= nextEventTime {
        now = due
        let event = late.removeFirst()
        remember(event)
        return write(event, .late, into: &buffer)
      }
      let event = nextEvent()
      if random.happens(lateChance) {
        let delay = 1 + UInt64(random.below(UInt32(options.latenessMillisecondsMax)))
        late.insert(event, at: now + delay * 1_000_000)
      } else {
        remember(event)
        return write(event, .fresh, into: &buffer)
      }
    }
  }

  private var nextEventTime: UInt64 { min(sessions.firstTime ?? .max, nextArrival) }
  private var nowMilliseconds: Int64 { options.startMilliseconds + Int64(now / 1_000_000) }

  /// The next event of all visits, in the order of time.
  private mutating func nextEvent() -> ShopEvent {
    while nextArrival <= sessions.firstTime ?? .max { beginSession() }
    guard let time = sessions.firstTime else { preconditionFailure("Cannot go on when no visit has begun") }
    now = time
    let slot = sessions.first
    var event = blankEvent()
    if let pause = slots[Int(slot)].advance(&event, &random, habits, itemTable, catalogue) {
      sessions.moveFirst(to: time + pause)
    } else {
      freeSlots.append(sessions.removeFirst())
    }
    return event
  }

  private mutating func beginSession() {
    let time = nextArrival
    now = time
    sessionsCount += 1
    let user = userTable.draw(&random)
    let session = Session(user: user, number: sessionsCount, random: &random, habits: habits)
    if let slot = freeSlots.popLast() {
      slots[Int(slot)] = session
      sessions.insert(slot, at: time)
    } else {
      sessions.insert(UInt32(slots.count), at: time)
      slots.append(session)
    }
    scheduleArrival()
  }

  private mutating func scheduleArrival() {
    let busyness = DailyRhythm.busyness(milliseconds: nowMilliseconds)
    nextArrival = now + random.exponential(mean: arrivalGap * 1_000 / busyness)
  }

  private mutating func blankEvent() -> ShopEvent {
    eventsCount += 1
    return ShopEvent(
      id: eventsCount, milliseconds: clockMilliseconds ?? nowMilliseconds, session: 0, user: 0, item: 0,
      action: .impression,
      quantity: 0)
  }

  /// An event of no visit, for a line that nobody can read.
  private mutating func madeUpEvent() -> ShopEvent {
    var event = blankEvent()
    event.user = userTable.draw(&random)
    event.item = itemTable.draw(&random)
    event.session = sessionsCount
    event.action = .click
    return event
  }

  private mutating func remember(_ event: ShopEvent) {
    if recent.count < Self.recentMax {
      recent.append(event)
    } else {
      recent[recentNext] = event
      recentNext = (recentNext + 1) % Self.recentMax
    }
  }

  private mutating func write(
    _ event: ShopEvent, _ kind: ClickstreamLine.Kind, into buffer: inout [UInt8]
  ) -> ClickstreamLine {
    let damage =
      kind == .malformed ? Damage(rawValue: random.below(UInt32(Damage.allCases.count))) : nil
    let start = buffer.count
    let user = scratch.withUnsafeMutableBufferPointer { memory in
      var format = LineFormat(memory)
      format.write(event, catalogue, damage: damage)
      if damage == .truncated { format.truncate(&random) }
      buffer.append(contentsOf: UnsafeBufferPointer(rebasing: memory[..<format.count]))
      return format.user
    }
    return ClickstreamLine(
      kind: kind, arrivalMilliseconds: nowMilliseconds,
      userBytes: user.isEmpty ? start..<start : (start + user.lowerBound)..<(start + user.upperBound))
  }
}
