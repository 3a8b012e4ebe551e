import FeatureCore
@testable import Parquet
import Testing

/// Bounds as parquet.thrift wants them.
@Suite struct StatisticsTests {
  private func statistics(_ type: ValueType, _ values: [FeatureValue]) -> ChunkStatistics {
    var buffer = ColumnBuffer(ParquetColumn("a", .scalar(type)))
    for value in values {
      switch value {
      case .double(let value): buffer.append(word: value.bitPattern)
      case .int64(let value): buffer.append(word: UInt64(bitPattern: value))
      case .bool(let value): buffer.append(word: value ? 1 : 0)
      case .string(let text): text.utf8.withUnsafeBytes { buffer.append(text: $0) }
      default: buffer.appendNull()
      }
    }
    let nullCount = buffer.nullCount
    return buffer.withValues { ChunkStatistics($0, distinct: nil, nullCount: nullCount) }
  }

  private func double(_ bound: ChunkStatistics.Bound?) -> UInt64? {
    bound.map { $0.bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
  }

  @Test func notANumberIsInNoBound() {
    let mixed = statistics(.double, [.double(.nan), .double(2), .null, .double(-1), .double(-.nan)])
    #expect(double(mixed.minimum) == Double(-1).bitPattern)
    #expect(double(mixed.maximum) == Double(2).bitPattern)
    #expect(mixed.nullCount == 1)
    let none = statistics(.double, [.double(.nan)])
    #expect(none.minimum == nil && none.maximum == nil)
  }

  @Test(arguments: [0.0, -0.0])
  func zeroesLeaveRoomForEachOther(zero: Double) {
    let bounds = statistics(.double, [.double(zero)])
    #expect(double(bounds.minimum) == (-0.0).bitPattern)
    #expect(double(bounds.maximum) == (0.0).bitPattern)
  }

  @Test func infinitiesAreNumbers() {
    let bounds = statistics(.double, [.double(.infinity)])
    #expect(double(bounds.minimum) == Double.infinity.bitPattern)
    #expect(double(bounds.maximum) == Double.infinity.bitPattern)
  }

  @Test func integersAreSigned() {
    let bounds = statistics(.int64, [.int64(-1), .int64(1)])
    #expect(double(bounds.minimum) == .max)
    #expect(double(bounds.maximum) == 1)
  }

  @Test func textsAreComparedByBytes() {
    let bounds = statistics(.string, [.string("Z"), .string("ż"), .string("a"), .null])
    #expect(bounds.minimum?.bytes == [UInt8]("Z".utf8))
    #expect(bounds.maximum?.bytes == [UInt8]("ż".utf8))
    #expect(bounds.maximum?.isExact == true)
  }

  @Test func nothingHasNoBounds() {
    let bounds = statistics(.string, [.null, .null])
    #expect(bounds.minimum == nil && bounds.maximum == nil && bounds.nullCount == 2)
  }

  private static func repeated(_ text: String, _ count: Int) -> String {
    String(repeating: text, count: count)
  }

  /// A text that is cut, and its upper bound.
  private static let longTexts: [(String, String?)] = [
    // 64 bytes and one more: the last code point goes up.
    (repeated("a", 65), repeated("a", 63) + "b"),
    // Cut before a character of two bytes.
    (repeated("a", 63) + "żż", repeated("a", 62) + "b"),
    (repeated("\u{7F}", 65), repeated("\u{7F}", 63) + "\u{80}"),
    (repeated("\u{D7FF}", 22), repeated("\u{D7FF}", 20) + "\u{E000}"),
    ("a" + repeated("\u{10FFFF}", 16), "b"),
    (repeated("\u{10FFFF}", 17), nil),
  ]

  @Test(arguments: longTexts)
  func longTextsAreCut(text: String, upper: String?) throws {
    let bounds = statistics(.string, [.string(Text(text))])
    let minimum = try #require(bounds.minimum)
    #expect(!minimum.isExact && minimum.bytes.count <= 64 && minimum.bytes.count > 60)
    #expect(text.utf8.starts(with: minimum.bytes))
    #expect(bounds.maximum?.bytes == upper.map { [UInt8]($0.utf8) })
    #expect(bounds.maximum?.isExact != true)
    if let maximum = bounds.maximum { #expect([UInt8](text.utf8).lexicographicallyPrecedes(maximum.bytes)) }
  }

  @Test func atTheLimitTextsAreWhole() {
    let text = String(repeating: "a", count: 64)
    #expect(statistics(.string, [.string(Text(text))]).maximum?.isExact == true)
  }
}
