import EventFiles
public import FeatureCore
import OfflineStore
import Processor

/// Event files of a join's sides, joined: read side by side, the next record always from the source that is least far.
public struct JoinedFiles {
  /// What was read and made.
  public struct Counts: Sendable, Hashable {
    /// Records of the files.
    public var events = 0
    /// Records that the join has made.
    public var records = 0
    /// Left events whose outcome isn't known yet where the files end.
    public var waiting = 0
  }

  private let plan: Plan
  private let join: Int
  private let makeProgress: (_ filesCount: Int) -> any FileProgress

  /// Files of the sides of a plan's join.
  public init(_ plan: Plan, join: Int, progress: @escaping (_ filesCount: Int) -> any FileProgress) {
    self.plan = plan
    self.join = join
    makeProgress = progress
  }

  /// Joins files of each source of a side. Calls with the records that the join makes, as bytes of JSON, in the order of its
  /// log; they are borrowed.
  public func run(
    _ files: [SourceFiles], _ letters: DeadLetterFile, record: (UnsafeRawBufferPointer) throws -> Void
  ) throws -> Counts {
    let made = Made()
    let merged = MergedJoin(plan, join: join, output: made.take)
    var first = 0
    let inputs = try merged.sources.map { source in
      let own = try files.filter { $0.source == source }.flatMap(\.paths).flatMap(EventFile.all)
      defer { first += own.count }
      return Input(plan.sources[source].schema, own, first: first)
    }
    made.paths = inputs.flatMap { $0.files.map(\.path) }
    var progress = makeProgress(first)
    var counts = Counts()
    func drain() throws {
      for letter in made.letters { try letter.append(to: letters) }
      made.letters.removeAll(keepingCapacity: true)
      for value in made.records { try value.withUnsafeBytes(record) }
      counts.records += made.records.count
      made.records.removeAll(keepingCapacity: true)
    }
    /// Looks at the next record that holds something; nil behind the last. What can't be used is a letter.
    func next(_ index: Int) throws -> Int64? {
      let input = inputs[index]
      while try input.advance(&progress) {
        counts.events += 1
        let time: Int64? = input.withLine { line, place in
          guard !line.isOversized else {
            made.take(.letter(.oversized(line.bytes, sequence: line.number), place))
            return nil
          }
          do throws(DecodeFailure) {
            return try merged.look(index, line.bytes, at: place)
          } catch {
            let letter = DeadLetter(error, input.schema, line.bytes, sequence: line.number)
            made.take(.letter(letter, place))
            return nil
          }
        }
        try drain()
        if let time { return time }
      }
      return nil
    }
    var times: [Int64?] = []
    for index in inputs.indices { times.append(try next(index)) }
    // Of two that are equally far the left one comes first: what happens at its time doesn't follow it.
    while let index = times.indices.filter({ times[$0] != nil }).min(by: {
      (times[$0] ?? 0) < (times[$1] ?? 0)
    }) {
      inputs[index].withLine { line, place in merged.take(index, line.bytes, at: place) }
      try drain()
      times[index] = try next(index)
    }
    merged.finish()
    try drain()
    progress.finish()
    for (index, source) in merged.sources.enumerated() {
      try plan.sources[source].checkUnit(merged.unitGuess(index))
    }
    counts.waiting = Int(merged.waiting)
    return counts
  }

  /// What the join has made and nobody has taken yet: a callback can't throw.
  private final class Made {
    var paths: [String] = []
    var records: [[UInt8]] = []
    var letters: [KeptLetter] = []

    func take(_ output: MergedJoin.Output) {
      switch output {
      case .record(let value): records.append(Array(value))
      case .letter(let letter, let place): letters.append(KeptLetter(letter, path: paths[place.file]))
      }
    }
  }

  /// The files of one source, a line at a time.
  private final class Input {
    let schema: EventSchema
    let files: [EventFile]
    /// The index of the first of them among those of all sources.
    private let first: Int
    private var file = -1
    private var reader: EventFileReader?
    private var lines = LineCopies()
    private var count = 0
    private var place = -1

    init(_ schema: EventSchema, _ files: [EventFile], first: Int) {
      self.schema = schema
      self.files = files
      self.first = first
    }

    /// Goes on to the next line; false behind the last.
    func advance(_ progress: inout any FileProgress) throws -> Bool {
      place += 1
      while place >= count {
        place = 0
        count = 0
        if reader == nil {
          file += 1
          guard file < files.count else { return false }
          reader = try EventFileReader(files[file], schema)
        }
        let isMore =
          try reader?.next { block in
            count = block.count
            lines.take(block)
          } ?? false
        if isMore {
          progress.update(
            file: first + file, records: count, bytesRead: reader?.bytesRead ?? 0,
            totalBytes: reader?.totalBytes)
        } else {
          reader = nil
        }
      }
      return true
    }

    func withLine<Result>(_ body: (Line, MergedJoin.Place) -> Result) -> Result {
      lines.withLines { lines in
        body(lines[place], MergedJoin.Place(file: first + file, line: lines[place].number))
      }
    }
  }
}
