import FeatureCore
import Foundation
import Testing

/// Independent parsers decide over generated records.
@Suite struct JSONConformanceTests {
  private static let source = Source(
    "generated", topic: "generated", timestamp: .init(field: "ts", unit: .milliseconds),
    fields: [
      .init("s", .string), .init("i", .int64), .init("d", .double), .init("b", .bool),
      .init("ts", .timestamp),
    ])

  /// What Python's json says of each line of hexadecimal bytes, given the same rules in Python's words.
  private static let judge = #"""
    import json, math, struct, sys
    from decimal import Decimal
    from fractions import Fraction
    if hasattr(sys, "set_int_max_str_digits"): sys.set_int_max_str_digits(0)
    class Refused(Exception): pass
    class Members(list): pass
    class Number(str): pass
    class Constant: pass
    def refuse(*_): raise Refused()
    def check(value, depth):
        if depth > 64: refuse()
        if isinstance(value, Members):
            for key, member in value: check(key, depth); check(member, depth + (type(member) in (Members, list)))
        elif isinstance(value, list):
            for element in value: check(element, depth + (type(element) in (Members, list)))
        elif isinstance(value, str): value.encode("utf-8")
    def shown(name, value):
        if value is None: return "null"
        if name == "s" and type(value) is str: return "s" + value.encode("utf-8").hex()
        if name == "b" and isinstance(value, bool): return "b1" if value else "b0"
        if name == "d" and isinstance(value, Number):
            double = float(value)
            if double - double != 0: refuse()
            return "d" + struct.pack(">d", double).hex()
        if name in ("i", "ts") and isinstance(value, Number):
            decimal = Decimal(value)
            if decimal.is_zero(): return "i0" if name == "i" else "t0"
            if decimal.adjusted() > 25: refuse()
            if name == "i" and decimal.adjusted() >= -1000:
                integer = int(decimal)
                if integer == decimal and -2**63 <= integer < 2**63: return "i" + str(integer)
            if name == "ts":
                time = (-1 if value[0] == "-" else 0) if decimal.adjusted() < -1000 else math.floor(Fraction(value) * 1000)
                if -62135596800000000 <= time <= 253402300799999999: return "t" + str(time)
        refuse()
    def row(line):
        record = json.loads(bytes.fromhex(line).decode("utf-8", "strict"), parse_constant=lambda _: Constant(),
            parse_int=Number, parse_float=Number, object_pairs_hook=Members)
        if type(record) is not Members: refuse()
        check(record, 1)
        fields = {}
        for key, value in record:
            if key not in ("s", "i", "d", "b", "ts"): continue
            if key in fields: refuse()
            fields[key] = value
        if fields.get("ts") is None: refuse()
        return " ".join(shown(name, fields.get(name)) for name in ("s", "i", "d", "b", "ts"))
    for line in open(sys.argv[1]):
        try: print(row(line.strip()))
        except (Refused, ValueError, RecursionError): print("refused")
    """#

  private static func python(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  private static let hasPython = (try? python(["-c", ""]))?.status == 0

  private static func shown(_ value: FeatureValue) -> String {
    switch value {
    case .null: "null"
    case .string(let text): "s" + text.utf8.map { hexadecimal(UInt64($0), 2) }.joined()
    case .int64(let integer): "i\(integer)"
    case .double(let double): "d" + hexadecimal(double.bitPattern, 16)
    case .bool(let bool): bool ? "b1" : "b0"
    case .timestamp(let time): "t\(time.microseconds)"
    case .list: "list"
    }
  }

  private static func hexadecimal(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: width - digits.utf8.count) + digits
  }

  private func verdict(_ reader: EventReader, _ payload: [UInt8]) -> String {
    (try? reader.read(payload).map(Self.shown).joined(separator: " ")) ?? "refused"
  }

  @Test(.enabled(if: hasPython, "python3 is not installed"))
  func pythonDecidesTheSame() throws {
    let seed: UInt64 = 8259
    var documents = EventDocuments(seed: seed)
    let payloads = (0..<30_000).map { $0 % 3 == 0 ? documents.record() : documents.mutant() }
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("plumbline-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    let lines = payloads.map { $0.map { Self.hexadecimal(UInt64($0), 2) }.joined() + "\n" }
    try Data(lines.joined().utf8).write(to: file)
    let (status, output) = try Self.python(["-c", Self.judge, file.path])
    #expect(status == 0)
    let verdicts = output.split(separator: "\n").map(String.init)
    try #require(verdicts.count == payloads.count)
    // Both outcomes are common, or the comparison shows little.
    let accepted = verdicts.count { $0 != "refused" }
    #expect(accepted > 6_000 && accepted < 24_000, "\(accepted) accepted")
    let reader = EventReader(Self.source)
    for (payload, expected) in zip(payloads, verdicts) {
      let actual = verdict(reader, payload)
      guard actual != expected else { continue }
      Issue.record(
        "seed \(seed): \(String(decoding: payload, as: UTF8.self)): \(actual), Python: \(expected)")
      return
    }
  }

  /// Foundation lets some mistakes pass (it takes a BOM, for one), so only what we accept is compared.
  @Test func foundationAcceptsWhatWeAccept() throws {
    let seed: UInt64 = 404
    var documents = EventDocuments(seed: seed)
    let reader = EventReader(Self.source)
    var compared = 0
    for index in 0..<30_000 {
      let payload = index % 2 == 0 ? documents.record() : documents.mutant()
      guard let row = try? reader.read(payload) else { continue }
      // Foundation refuses numbers beyond double's range, which undeclared fields may hold.
      if payload.contains(UInt8(ascii: "e")) || payload.contains(UInt8(ascii: "E")) { continue }
      let text = String(decoding: payload, as: UTF8.self)
      if text.contains("NaN") || text.contains("Infinity") { continue }
      compared += 1
      let parsed = try? JSONSerialization.jsonObject(with: Data(payload)) as? [String: Any]
      let object = try #require(parsed, "seed \(seed): \(text)")
      if case .string(let string) = row[0] {
        #expect((object["s"] as? String).map { Text($0) } == string, "seed \(seed): \(text)")
      }
      if case .int64(let integer) = row[1] {
        #expect((object["i"] as? NSNumber)?.int64Value == integer, "seed \(seed): \(text)")
      }
      if case .bool(let bool) = row[3] { #expect(object["b"] as? Bool == bool, "seed \(seed): \(text)") }
    }
    #expect(compared > 1_000)
  }
}
