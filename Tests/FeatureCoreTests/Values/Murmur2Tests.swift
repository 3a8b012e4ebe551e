import FeatureCore
import Testing

@Suite struct Murmur2Tests {
  private func hash(_ bytes: [UInt8]) -> Int32 {
    bytes.withUnsafeBytes { Int32(bitPattern: Murmur2.hash($0)) }
  }

  /// Those of Kafka's `UtilsTest.testMurmur2`.
  @Test(arguments: [
    ("21", Int32(-973_932_308)), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
  ])
  func kafkasOwnVectors(_ key: String, _ expected: Int32) {
    #expect(hash(Array(key.utf8)) == expected)
  }

  /// Computed with a transcription of the Java code into Python.
  @Test func otherVectors() {
    #expect(hash([]) == 275_646_681)
    #expect(hash(Array("user|category".utf8)) == 989_797_969)
    #expect(hash([0xFF, 0xFE, 0xFD, 0xFC, 0xFB]) == 524_068_735)
    #expect(hash(Array(0...255)) == -1_948_347_274)
  }

  @Test(arguments: [
    ("foobar", Int32(0), Int32(62)), ("21", 3, 44), ("a-little-bit-long-string", 1, 32), ("", 2, 25),
    ("u1", 5, 48), ("u2", 6, 14), ("u12345", 0, 6),
  ])
  func partitionsAreOfThePositiveHash(_ key: String, _ ofSeven: Int32, _ of64: Int32) {
    Array(key.utf8).withUnsafeBytes { bytes in
      #expect(Murmur2.partition(bytes, count: 7) == ofSeven)
      #expect(Murmur2.partition(bytes, count: 64) == of64)
      #expect(Murmur2.partition(bytes, count: 1) == 0)
    }
  }
}
