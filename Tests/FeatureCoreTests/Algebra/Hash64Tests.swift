import Testing

@testable import FeatureCore

/// XXH64 against the reference implementation's results.
@Suite struct Hash64Tests {
  @Test func publishedVectors() {
    #expect(Hash64.hash("") == 0xEF46_DB37_51D8_E999)
    #expect(Hash64.hash("a") == 0xD24E_C4F1_A98C_6E5B)
    #expect(Hash64.hash("abc") == 0x44BC_2CF5_AD77_0999)
    #expect(Hash64.hash("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
    #expect(hash([], seed: 1) == 0xD5AF_BA13_36A3_BE4B)
  }

  /// Bytes i mod 251, of every length at which the algorithm changes course; with seed 0, and with its first prime.
  static let lengths: [(Int, UInt64, UInt64)] = [
    (1, 0xE934_A84A_DB05_2768, 0x6050_8B0C_ED72_C717),
    (3, 0xE5C7_BB45_33BC_65DD, 0xA155_2D55_6A29_9B24),
    (4, 0xFFCE_D860_4453_CC1E, 0xD485_9464_6531_7D49),
    (5, 0xDD02_7438_6E26_030C, 0xF60D_C54C_180A_9098),
    (7, 0x14CC_643F_630C_72D2, 0x0FF0_BA62_1EEC_7A4E),
    (8, 0x884A_1736_14B8_1B8D, 0x5EB0_50A7_CB13_4CAE),
    (9, 0x67D8_5784_A7C7_8C5B, 0xF193_2BBF_1377_0B3E),
    (12, 0x424A_F23F_1F08_DCA5, 0x3EE9_8C75_AC20_B9D6),
    (15, 0xA948_F5F0_F6AB_AC2D, 0x25FC_54E2_8CB3_C71B),
    (16, 0x44B6_EF2F_B841_69F7, 0xC633_A2FB_6758_0003),
    (31, 0xC346_D2B5_9B4D_8EE1, 0xA3C5_EC38_A60B_7EA1),
    (32, 0xCBF5_9C51_16FF_32B4, 0xBFB3_E4EF_6096_C49C),
    (33, 0x0C53_5D1A_CAFB_8EAD, 0x702E_2AA8_B967_40BD),
    (39, 0x00A3_96EF_1679_A859, 0x66DC_6B24_EACF_6848),
    (40, 0xF5DA_40F1_B117_41E9, 0xF6E4_AB86_F1BD_8336),
    (63, 0xE26A_A9E2_A95F_8E4F, 0xB83B_E1F9_1B39_104D),
    (64, 0xF7C6_7301_DB67_13F0, 0x2006_C268_B7D3_4F54),
    (65, 0xC31E_B63B_2AE4_465B, 0x3E41_9324_923D_2D31),
    (100, 0x6AC1_E580_3216_6597, 0x0027_8BDA_0EE3_F586),
    (257, 0x9DD5_394C_26B3_C4D8, 0x6BD9_6745_EF10_8AE2),
    (1000, 0xF306_F04A_A88B_54D3, 0xE5E6_5CF7_CBE1_0CA8),
  ]

  @Test func everyLength() {
    for (count, plain, seeded) in Self.lengths {
      let bytes = (0..<count).map { UInt8($0 % 251) }
      #expect(hash(bytes) == plain, "\(count) bytes")
      #expect(hash(bytes, seed: 0x9E37_79B1_85EB_CA87) == seeded, "\(count) bytes")
    }
  }

  @Test func numbersAreTheirLittleEndianBytes() {
    #expect(Hash64.hash(0 as UInt64) == 0x34C9_6ACD_CADB_1BBB)
    #expect(Hash64.hash(1 as UInt64) == 0x9F29_CB17_A2A4_9995)
    #expect(Hash64.hash(0x0123_4567_89AB_CDEF as UInt64) == 0xEA3C_5208_1E98_43EC)
    #expect(Hash64.hash(UInt64.max) == 0x85D1_36AD_B773_C6C9)
  }

  /// Unaligned memory gives the same hash.
  @Test func alignmentDoesNotMatter() {
    let bytes = (0..<100).map { UInt8($0) }
    for shift in 1..<9 {
      let shifted = [UInt8](repeating: 0, count: shift) + bytes
      let found = shifted.withUnsafeBytes { Hash64.hash(UnsafeRawBufferPointer(rebasing: $0[shift...])) }
      #expect(found == hash(bytes))
    }
  }

  private func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { Hash64.hash($0, seed: seed) }
  }
}
