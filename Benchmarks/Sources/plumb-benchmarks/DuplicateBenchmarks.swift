import FeatureCore
import Processor

/// Telling duplicates by their ids, records in memory: what it adds to decoding, while a task reads the window again
/// after a start and afterwards, and what the ids take up.
enum DuplicateBenchmarks {
  /// A window and what comes in it.
  private struct Case {
    var name: String
    var within: Int64
    var recordsPerSecond: Int
    var records: Int { Int(within / 1_000_000) * recordsPerSecond }
  }

  private static let cases = [
    Case(name: "1 h at 280/s", within: 3_600_000_000, recordsPerSecond: 280),
    Case(name: "1 h at 5,000/s", within: 3_600_000_000, recordsPerSecond: 5_000),
    Case(name: "24 h at 230/s", within: 86_400_000_000, recordsPerSecond: 230),
  ]

  static func run(_ harness: Harness) {
    print("\nDuplicates by an id of 16 bytes, 5 % of the events; seven declared fields\n")
    print(
      "|                  | records    | decode, ns | tell while filling | tell when full | allocations | decode and tell all, s | MiB |"
    )
    print(
      "|------------------|-----------:|-----------:|-------------------:|---------------:|------------:|-----------------------:|----:|"
    )
    for each in cases { measure(each, repetitions: each.records > 2_000_000 ? 1 : harness.repetitions) }
  }

  private static func measure(_ each: Case, repetitions: Int) {
    var (decode, filling, full): ([Double], [Double], [Double]) = ([], [], [])
    var (allocations, bytes) = (0.0, 0)
    for _ in 0..<repetitions {
      let source = Shop.source(duplicatesWithin: each.within)
      let orders = Orders(source, recordsPerSecond: each.recordsPerSecond)
      guard let filter = DuplicateFilter(source, from: 0) else { fatalError("The source has no rule") }
      // As a start does, which knows how many there are.
      filter.reserve(records: each.records)
      let first = orders.fold(each.records, filter)
      bytes = filter.idBytes
      let second = orders.fold(max(1_000_000, each.records / 4), filter)
      decode.append(first.decode)
      filling.append(first.tell)
      full.append(second.tell)
      allocations = second.allocations
    }
    let (decodeTime, fillingTime, fullTime) = (median(decode), median(filling), median(full))
    let cells = [
      pad("\(each.records)", -10), pad(decimals(decodeTime, 1), -10), pad(decimals(fillingTime, 1), -18),
      pad(decimals(fullTime, 1), -14), pad(decimals(allocations, 4), -11),
      pad(decimals((decodeTime + fillingTime) * Double(each.records) / 1e9, 1), -22),
      pad("\(bytes >> 20)", -3),
    ]
    print("| " + pad(each.name, 16) + " | " + cells.joined(separator: " | ") + " |")
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// A topic of orders with ids of their own, of which every twentieth comes again after 1,024 others.
private final class Orders {
  private static let batchRecords = 256
  private static let again = 1_024
  private static let idDigits = 16

  private let lines: UnsafeMutableRawBufferPointer
  private let starts: [Int]
  private let idStarts: [Int]
  private var records: [LogRecord] = []
  private let batch: EventBatch
  private let recordsPerSecond: Int
  private var next = 0

  init(_ source: SourcePlan, recordsPerSecond: Int) {
    self.recordsPerSecond = recordsPerSecond
    batch = EventBatch(source.schema, capacity: Self.batchRecords)
    var (bytes, starts, ids): ([UInt8], [Int], [Int]) = ([], [0], [])
    for line in 0..<Self.batchRecords {
      let head = #"{"event_id":""#
      ids.append(bytes.count + head.utf8.count)
      bytes += head.utf8
      bytes += [UInt8](repeating: 0x30, count: Self.idDigits)
      bytes +=
        """
        ","ts":\(1_798_761_600_000 + line),"user_id":"u\(line * 389)","item_id":"i\(line * 77)",\
        "category":"c\(line % 50)","event_type":"purchase","price":\(line).\(10 + line % 90),"quantity":\(1 + line % 3),\
        "session_id":"s\(line)"}
        """.utf8
      starts.append(bytes.count)
    }
    lines = .allocate(byteCount: bytes.count + 64, alignment: 16)
    lines.copyBytes(from: bytes)
    (self.starts, idStarts) = (starts, ids)
  }

  deinit { lines.deallocate() }

  /// Decodes and sifts so many records; returns nanoseconds and allocations a record.
  func fold(_ count: Int, _ filter: DuplicateFilter) -> (decode: Double, tell: Double, allocations: Double) {
    var (decode, tell) = (Stopwatch(), Stopwatch())
    let end = next + count / Self.batchRecords * Self.batchRecords
    let begin = next
    var found = 0
    while next < end {
      write()
      decode.start()
      batch.removeAll()
      for record in 0..<Self.batchRecords {
        guard let payload = records[record].value else { fatalError("A record without a value") }
        append(payload, record, to: batch)
      }
      decode.stop()
      tell.start()
      let letters = records.withUnsafeBufferPointer { filter.sift($0, batch) }
      tell.stop()
      guard letters.isEmpty else { fatalError("Duplicates have other values") }
      found += Self.batchRecords - batch.count
    }
    guard found * 21 > count else { fatalError("\(found) duplicates of \(count) records were found") }
    let events = Double(end - begin)
    return (
      Double(decode.nanoseconds) / events, Double(tell.nanoseconds) / events,
      Double(tell.allocations) / events
    )
  }

  /// The next batch.
  private func write() {
    records.removeAll(keepingCapacity: true)
    for line in 0..<Self.batchRecords {
      let number = next + line
      let isAgain = number % 20 == 19 && number >= Self.again
      writeID(isAgain ? number - Self.again : number, at: idStarts[line])
      records.append(
        LogRecord(
          partition: 0, offset: Int64(number),
          timestampMilliseconds: 1_798_761_600_000 + Int64(number) * 1_000 / Int64(recordsPerSecond),
          key: nil,
          value: UnsafeRawBufferPointer(rebasing: lines[starts[line]..<starts[line + 1]])))
    }
    next += Self.batchRecords
  }

  private func writeID(_ number: Int, at start: Int) {
    var rest = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
    for digit in 0..<Self.idDigits {
      let value = UInt8(rest >> 60)
      lines[start + digit] = value < 10 ? 0x30 + value : 0x57 + value
      rest <<= 4
    }
  }
}
