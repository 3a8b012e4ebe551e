public import FeatureCore

/// A join of events that come from elsewhere than topics, such as files: its log as it would be if each source had one partition
/// and told after each event how far it has come. Whoever has the events merges them: first those of the source that is
/// least far. So outcomes are due by the events' times, and nobody's reading speed decides anything.
public final class MergedJoin {
  /// Where an event stands.
  public struct Place: Hashable, Sendable {
    /// The index of its file.
    public var file: Int
    /// Its line there.
    public var line: Int64

    /// A place from its parts.
    public init(file: Int, line: Int64) {
      self.file = file
      self.line = line
    }
  }

  /// What comes of an event. Its bytes are borrowed.
  public enum Output {
    /// A record of the join.
    case record(UnsafeRawBufferPointer)
    /// An event that can't be used.
    case letter(DeadLetter, Place)
  }

  /// A source of a side, or of both.
  private final class Stream {
    let source: SourcePlan
    let sides: [(side: JoinPlan.Side, fold: ViewFold)]
    /// The events of the record that is looked at.
    let batch: EventBatch
    let seen: SeenEvents?
    var guess: UnitGuess
    /// The largest event time.
    var time: Int64?
    var toldTime: Int64?
    var records: Int64 = 0

    init(_ source: SourcePlan, _ sides: [(side: JoinPlan.Side, fold: ViewFold)]) {
      self.source = source
      self.sides = sides
      batch = EventBatch(source.schema, capacity: 1)
      seen = SeenEvents(source)
      guess = UnitGuess(source.source.timestamp.unit)
    }
  }

  /// The sources of its sides, as indices of the plan's: one or two, the left one first.
  public let sources: [Int]
  private let streams: [Stream]
  private let join: JoinFold
  private let memory: JoinMemory
  private let output: (Output) -> Void
  private let ports: JoinFold.Ports<Never>
  private var writer = ProtobufWriter()
  private var offset: Int64 = 0
  private let places = Places()

  /// Where the events of a join's log stand, those of its records that may yet be told of.
  private final class Places {
    private var kept: [Place] = []
    private var first: Int64 = 0

    subscript(offset: Int64) -> Place { kept[Int(offset - first)] }

    func append(_ place: Place) { kept.append(place) }

    func drop(before offset: Int64) {
      guard offset - first >= 1_000, offset - first > kept.count / 2 else { return }
      kept.removeFirst(Int(offset - first))
      first = offset
    }
  }

  /// A join of a plan, which calls with what it makes.
  public init(_ plan: Plan, join index: Int, output: @escaping (Output) -> Void) {
    let own = plan.joins[index]
    sources = [own.left.source] + (own.right.source == own.left.source ? [] : [own.right.source])
    streams = sources.map { source in
      let sides = JoinPlan.Side.allCases.filter { own.source(of: $0) == source }
      return Stream(plan.sources[source], sides.map { ($0, ViewFold(own.view(of: $0))) })
    }
    var limits = WorkerLimits()
    limits.cachedStatesMax = .max
    join = JoinFold(plan, join: index, limits, isStored: false)
    memory = JoinMemory(own)
    self.output = output
    ports = JoinFold.Ports(
      read: { [memory] in memory.read($0, from: $1) }, load: { _ in },
      make: { [places] made in
        switch made {
        case .record(_, let value): output(.record(value))
        case .letter(let cause, _, let letter):
          let place = places[cause.offset]
          output(
            .letter(
              DeadLetter(
                sequence: place.line, reason: letter.reason, view: letter.view, message: letter.message,
                payload: letter.payload), place))
        }
      })
  }

  /// Left events whose outcome isn't due: the sources have ended before.
  public var waiting: Int64 { join.progress.cursors.first?.pending ?? 0 }

  /// What the times of a source's events look like.
  public func unitGuess(_ stream: Int) -> UnitGuess { streams[stream].guess }

  /// Decodes the next record of one of `sources`; returns how far that has come with it, nil if no event is in it. What of
  /// it can't be used is thrown, or told if it is an element. Its bytes stay valid until it is taken.
  public func look(
    _ index: Int, _ bytes: UnsafeRawBufferPointer, at place: Place
  ) throws(DecodeFailure) -> Int64? {
    let stream = streams[index]
    let batch = stream.batch
    batch.removeAll()
    do throws(DecodeFailure) {
      try batch.append(bytes, sequence: place.line) { failure in
        stream.guess.note(failure, batch.schema)
        output(.letter(DeadLetter(failure, stream.source.schema, bytes, sequence: place.line), place))
      }
    } catch {
      stream.guess.note(error, batch.schema)
      throw error
    }
    for row in 0..<batch.count { stream.guess.note(batch.time(row)) }
    if let seen = stream.seen {
      var isConflict = false
      _ = seen.sift(batch) { _ in isConflict = true }
      if isConflict { throw seen.conflict }
    }
    var time = stream.time
    for row in 0..<batch.count { time = max(time ?? .min, batch.time(row)) }
    return time
  }

  /// Joins what was looked at.
  public func take(_ index: Int, _ bytes: UnsafeRawBufferPointer, at place: Place) {
    let stream = streams[index]
    let batch = stream.batch
    stream.records += 1
    for (side, fold) in stream.sides {
      // Of a record with elements, the keys that it has been sent for.
      var sent: Set<Text> = []
      for row in 0..<batch.count {
        do throws(ViewFailure) {
          guard try fold.takes(batch.row(row)) else { continue }
          let key = try fold.key(of: batch.row(row))
          guard batch.schema.each == nil || sent.insert(Text(key)).inserted else { continue }
          writer.event(
            LogRecord(partition: 0, offset: 0, timestampMilliseconds: nil, key: nil, value: bytes),
            batch.schema, of: side)
          writer.withBytes { append(key: key, value: $0, place) }
        } catch {
          output(.letter(DeadLetter(error, bytes, sequence: place.line), place))
        }
      }
    }
    for row in 0..<batch.count { stream.time = max(stream.time ?? .min, batch.time(row)) }
    if let time = stream.time, stream.toldTime.map({ time - $0 >= JoinMarks.resolution }) ?? true {
      tell(stream, time)
    }
  }

  /// No more events will come: what is due by those that have is made.
  public func finish() {
    for stream in streams {
      if let time = stream.time { tell(stream, time) }
    }
    // A cursor takes a part for each record.
    while join.progress.isBehind { append(key: nil, value: nil, Place(file: 0, line: 0)) }
  }

  private func tell(_ stream: Stream, _ time: Int64) {
    stream.toldTime = time
    for (side, _) in stream.sides {
      writer.mark(
        JoinMark(side: side, partition: 0, count: 1, time: time, isIdle: false, offset: stream.records))
      writer.withBytes { append(key: nil, value: $0, Place(file: 0, line: 0)) }
    }
  }

  private func append(key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, _ place: Place) {
    places.append(place)
    let record = LogRecord(partition: 0, offset: offset, timestampMilliseconds: nil, key: key, value: value)
    offset += 1
    memory.append(record)
    join.fold(record, isSilent: false, ports)
    memory.drop(join.progress, head: offset)
    places.drop(before: join.progress.firstPending ?? offset)
  }
}
