import FeatureCore
import Testing

/// Whatever the bytes are, the decoder neither traps nor reads outside of them (run under the address
/// sanitizer to see the latter), and what it says about them is in order.
@Suite struct EventDecoderFuzzTests {
  @Test func mutantsNeverTrap() {
    let seed: UInt64 = 1_048_576
    var documents = EventDocuments(seed: seed)
    let reader = EventReader(.everyType)
    var refused = 0
    for index in 0..<200_000 {
      let payload = documents.mutant()
      guard let failure = reader.failure(payload) else { continue }
      refused += 1
      let isInOrder =
        failure.offset >= 0 && failure.offset <= payload.count
        && (failure.reason == .malformedJSON) == (failure.problem != nil)
        && (failure.reason == .wrongType) == (failure.found != nil)
      if !isInOrder { Issue.record("seed \(seed), document \(index): \(failure)") }
    }
    #expect(refused > 100_000)
  }

  @Test func bytesOfJSONNeverTrap() {
    let seed: UInt64 = 77
    var random = EventRandom(seed: seed)
    let reader = EventReader(.everyType)
    let alphabet =
      Array(#"{}[]:,"\ustdib0189-+.eE ntrfalse"#.utf8) + [0xC3, 0xA9, 0xED, 0xF0, 0x9F, 0xFF, 0, 0x1F]
    for _ in 0..<100_000 {
      let payload = (0..<random.below(40)).map { _ in random.pick(alphabet) }
      let inside = [UInt8](#"{"s":""#.utf8) + payload
      for bytes in [payload, [0x7B] + payload, inside] where reader.failure(bytes) == nil {
        #expect(bytes.last == 0x7D || bytes.last == 0x20, "seed \(seed): \(bytes)")
      }
    }
  }
}
