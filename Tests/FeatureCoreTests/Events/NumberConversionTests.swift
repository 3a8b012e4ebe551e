import FeatureCore
import Testing
import TestSupport

/// Every double is the nearest one, bit for bit what the standard library reads.
@Suite struct NumberConversionTests {
  private func double(_ text: String) -> Double? {
    Array(text.utf8).withUnsafeBytes { NumberText.double($0) }
  }
  private func int64(_ text: String) -> Int64? { Array(text.utf8).withUnsafeBytes { NumberText.int64($0) } }

  private func compare(_ text: String, _ context: String) {
    let expected = Double(text).flatMap { $0.isFinite ? $0 : nil }
    let actual = double(text)
    if actual?.bitPattern != expected?.bitPattern {
      Issue.record(
        "\(context): \(text) is \(String(describing: actual)), not \(String(describing: expected))")
    }
  }

  @Test func shortestTextsOfRandomBits() {
    let seed: UInt64 = 754
    var random = EventRandom(seed: seed)
    for _ in 0..<50_000 {
      let value = Double(bitPattern: random.next())
      guard value.isFinite else { continue }
      compare("\(value)", "seed \(seed)")
      #expect(double("\(value)")?.bitPattern == value.bitPattern)
    }
  }

  @Test func everydayNumbers() {
    let seed: UInt64 = 1985
    var random = EventRandom(seed: seed)
    for _ in 0..<100_000 {
      let whole = random.next() >> UInt64(random.below(64))
      let digits = String(whole)
      let point = random.below(digits.count + 1)
      let head = digits.prefix(point)
      let tail = digits.dropFirst(point)
      let zeros = String(repeating: "0", count: random.below(12))
      compare("\(head.isEmpty ? "0" : head).\(head.isEmpty ? zeros : "")\(tail)0", "seed \(seed)")
      compare("-\(digits)e\(random.below(64) - 32)", "seed \(seed)")
    }
  }

  /// Half way between two doubles, and one unit of the last of 19 digits to each side.
  @Test func tiesAndTheirNeighbours() {
    let seed: UInt64 = 53
    var random = EventRandom(seed: seed)
    for _ in 0..<50_000 {
      let shift = UInt64(random.below(11))
      let significand = (1 << 53 | random.next() >> 11) << 1 | 1
      let tie = significand << min(shift, 9)
      for value in [tie - 1, tie, tie + 1] {
        compare(String(value), "seed \(seed)")
        compare("\(value)e\(random.below(56) - 28)", "seed \(seed)")
        compare("\(value).0", "seed \(seed)")
      }
    }
  }

  @Test(arguments: [
    "9007199254740993", "9007199254740992.5", "9007199254740993e0", "9007199254740991e22",
    "9007199254740992e22",
    "9007199254740993e22", "9007199254740993e-22", "1e22", "1e23", "8.5e22", "1e27", "1e28", "1e-22", "1e-23",
    "1e-27", "1e-28", "18446744073709551615", "18446744073709551616", "18446744073709551615e27",
    "18446744073709551615e-27", "1e-27", "1.1754943508222875e-38", "2.2250738585072011e-308",
    "2.2250738585072012e-308", "2.2250738585072014e-308", "4.9406564584124654e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308",
    "6.9294956446009195e15", "3.7455744005952583e15",
    "0.500000000000000166533453693773481063544750213623046875",
    "3.518437208883201171875e13", "62.5364939768271845828", "8.10109172351e-10",
    "1.50000000000000011102230246251565",
    "0.000000000000000000000000000000000000000000000000000000000000000000000000000000000001234567890123456789",
    "123456789012345678901234567890123456789012345678901234567890.5", "0.1e1", "100e-2", "7e-10",
    "1e0000000000005",
    "1e-0000000000005", "0.0000000000000000000000000000", "89255.0e-22", "104110013277974872254e-225",
    "5e-324",
  ])
  func hardCases(text: String) {
    compare(text, "hard case")
    compare("-" + text, "hard case")
  }

  @Test func manyDigits() {
    let zeros = String(repeating: "0", count: 100_000)
    #expect(double("1\(zeros)e-100000") == 1)
    #expect(double("0.\(zeros)1e100001") == 1)
    #expect(double("1\(zeros)") == nil)
    #expect(double("0.\(zeros)1") == 0)
    #expect(double("1.\(zeros)1") == 1)
  }

  @Test(arguments: [
    "", "+1", " 1", "1 ", "01", ".5", "1.", "1e", "0x10", "inf", "nan", "1,5", "--1", "１", "1_0",
  ])
  func textsThatAreNoNumbers(text: String) {
    #expect(double(text) == nil)
    #expect(int64(text) == nil)
  }

  @Test func integers() {
    #expect(int64("-9223372036854775808") == Int64.min)
    #expect(int64("9223372036854775807") == Int64.max)
    for text in ["9223372036854775808", "-9223372036854775809", "1.0", "1e2"] { #expect(int64(text) == nil) }
    for (text, whole) in [("12.0", 12), ("1.2e1", 12), ("12", 12), ("1.5", nil), ("1e19", nil)]
      as [(String, Int64?)]
    {
      #expect(Array(text.utf8).withUnsafeBytes { NumberText.wholeNumber($0) } == whole, "\(text)")
    }
    var random = EventRandom(seed: 64)
    for _ in 0..<20_000 {
      let value = Int64(bitPattern: random.next()) >> Int64(random.below(64))
      #expect(int64("\(value)") == value)
    }
  }
}
