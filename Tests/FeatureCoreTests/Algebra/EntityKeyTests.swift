import Testing
import TestSupport

@testable import FeatureCore

@Suite struct EntityKeyTests {
  private func columns(_ types: [ValueType]) -> [EntityColumn] {
    types.enumerated().map { EntityColumn(name: "c\($0.offset)", type: $0.element, column: $0.offset) }
  }

  private func key(_ values: [FeatureValue], _ types: [ValueType]) throws -> [UInt8] {
    let arena = TextArena()
    let row = values.map { Scalar($0, in: arena) }
    return try row.withUnsafeBufferPointer {
      Array(try EntityKey.make($0.baseAddress!, columns(types), arena: arena))
    }
  }

  private func values(_ key: [UInt8], _ types: [ValueType]) -> [FeatureValue]? {
    key.withUnsafeBytes { EntityKey.values(of: $0, columns(types)) }
  }

  private func text(_ values: [FeatureValue], _ types: [ValueType]) throws -> String {
    String(decoding: try key(values, types), as: UTF8.self)
  }

  @Test func oneColumnIsItsText() throws {
    #expect(try text([.string("a|b\\c")], [.string]) == "a|b\\c")
    #expect(try text([.string("")], [.string]) == "")
    #expect(try text([.int64(.min)], [.int64]) == "-9223372036854775808")
    #expect(try text([.int64(0)], [.int64]) == "0")
    #expect(try text([.bool(true)], [.bool]) == "true")
    #expect(try text([.timestamp(EventTime(microseconds: -5))], [.timestamp]) == "-5")
  }

  @Test func severalColumnsAreJoined() throws {
    #expect(try text([.string("a|b"), .int64(7)], [.string, .int64]) == "a\\|b|7")
    #expect(try text([.string("\\"), .string("")], [.string, .string]) == "\\\\|")
  }

  /// Every key gives its values back, and different values have different keys.
  @Test(arguments: seeds(5)) func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let pieces = ["", "|", "\\", "a", "|\\", "\\|", "é", "\u{0}", "\\\\"]
    var found: [[UInt8]: [FeatureValue]] = [:]
    for types in [[.string], [.string, .string], [.string, .int64, .bool], [.timestamp, .string]]
      as [[ValueType]]
    {
      found.removeAll()
      for _ in 0..<400 {
        let values = types.map { type -> FeatureValue in
          switch type {
          case .string:
            let count = Int.random(in: 0...3, using: &random)
            return .string(Text((0..<count).map { _ in pieces.randomElement(using: &random)! }.joined()))
          case .bool: return .bool(.random(using: &random))
          case .timestamp: return .timestamp(EventTime(microseconds: Int64(bitPattern: random.next())))
          default:
            return .int64(
              [.min, .max, 0, -1, Int64(bitPattern: random.next())].randomElement(using: &random)!)
          }
        }
        let key = try key(values, types)
        #expect(self.values(key, types) == values, "seed \(seed)")
        #expect(EntityKey.make(values, columns(types)) == key, "seed \(seed)")
        if let other = found[key] { #expect(other == values, "seed \(seed)") }
        found[key] = values
      }
    }
  }

  @Test func whatIsNoKey() {
    #expect(values(Array("a".utf8), [.string, .string]) == nil)
    #expect(values(Array("a|b|c".utf8), [.string, .string]) == nil)
    #expect(values(Array("a|b\\".utf8), [.string, .string]) == nil)
    #expect(values(Array("a\\b|c".utf8), [.string, .string]) == nil)
    #expect(values(Array("x".utf8), [.int64]) == nil)
    #expect(values(Array("".utf8), [.int64]) == nil)
    #expect(values(Array("9223372036854775808".utf8), [.int64]) == nil)
    #expect(values(Array("TRUE".utf8), [.bool]) == nil)
    // Only what `make` writes is a key: another spelling would name an entity that has no state.
    for spelling in ["+5", "05", "-0"] {
      #expect(values(Array(spelling.utf8), [.int64]) == nil, "\(spelling)")
    }
  }

  @Test func valuesThatAreNoKey() {
    let columns = columns([.string, .int64])
    #expect(EntityKey.make([.string("a"), .int64(1)], columns) == Array("a|1".utf8))
    let others: [[FeatureValue]] = [
      [.string("a")], [.string("a"), .null], [.int64(1), .string("a")], [.string("a"), .double(1)],
    ]
    for values in others {
      #expect(EntityKey.make(values, columns) == nil)
    }
    let tooLong = Text(String(repeating: "k", count: Limits.entityKeyBytesMax + 1))
    #expect(EntityKey.make([.string(tooLong), .int64(1)], columns) == nil)
  }

  @Test func faults() throws {
    #expect(throws: EntityKey.Fault.null(column: 1)) { try key([.string("a"), .null], [.string, .int64]) }
    #expect(throws: EntityKey.Fault.null(column: 0)) { try key([.null], [.string]) }
    let limit = Limits.entityKeyBytesMax
    let longest = FeatureValue.string(Text(String(repeating: "k", count: limit)))
    #expect(try key([longest], [.string]).count == limit)
    let tooLong = FeatureValue.string(Text(String(repeating: "k", count: limit + 1)))
    #expect(throws: EntityKey.Fault.tooLong(bytes: limit + 1)) { try key([tooLong], [.string]) }
    #expect(throws: EntityKey.Fault.tooLong(bytes: limit + 2)) {
      try key([longest, .int64(1)], [.string, .int64])
    }
  }
}
