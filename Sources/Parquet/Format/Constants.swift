/// The numbers of the format: https://github.com/apache/parquet-format, src/main/thrift/parquet.thrift.
enum Magic {
  /// `PAR1`, at both ends of a file.
  static let bytes: [UInt8] = [0x50, 0x41, 0x52, 0x31]
  /// `PARE` instead of it at the end: the footer is encrypted.
  static let encrypted: [UInt8] = [0x50, 0x41, 0x52, 0x45]
}

/// `Type`.
enum PhysicalType: Int32 {
  case boolean = 0
  case int32, int64, int96, float, double, byteArray, fixedLengthByteArray
}

/// `FieldRepetitionType`.
enum Repetition: Int32 {
  case required = 0
  case optional, repeated
}

/// `ConvertedType`, as far as it is read or written.
enum ConvertedType {
  static let utf8: Int32 = 0
  static let map: Int32 = 1
  /// What old writers say of a map instead.
  static let mapKeyValue: Int32 = 2
  static let list: Int32 = 3
  static let enumeration: Int32 = 4
  static let decimal: Int32 = 5
  static let date: Int32 = 6
  static let timestampMilliseconds: Int32 = 9
  static let timestampMicroseconds: Int32 = 10
  static let unsigned: ClosedRange<Int32> = 11...14
  static let signed: ClosedRange<Int32> = 15...18
  static let json: Int32 = 19
}

/// The members of the union `LogicalType`, as far as they are read or written.
enum LogicalTypeField {
  static let string: Int16 = 1
  static let map: Int16 = 2
  static let list: Int16 = 3
  static let enumeration: Int16 = 4
  static let decimal: Int16 = 5
  static let date: Int16 = 6
  static let timestamp: Int16 = 8
  static let integer: Int16 = 10
  /// A column of nulls only.
  static let unknown: Int16 = 11
  static let json: Int16 = 12
  static let uuid: Int16 = 14
  static let float16: Int16 = 15

  /// Of members that are read in no way, as parquet.thrift has them.
  static let names: [Int16: String] = [
    2: "MAP", 7: "TIME", 13: "BSON", 16: "VARIANT", 17: "GEOMETRY", 18: "GEOGRAPHY",
  ]
}

/// `Encoding`.
enum Encoding: Int32 {
  case plain = 0
  case plainDictionary = 2
  case rle = 3
  case bitPacked = 4
  case deltaBinaryPacked = 5
  case deltaLengthByteArray = 6
  case deltaByteArray = 7
  case rleDictionary = 8
  case byteStreamSplit = 9
}

/// `CompressionCodec`.
enum Codec: Int32 {
  case uncompressed = 0
  case snappy, gzip, lzo, brotli, lz4, zstd, lz4Raw
}

/// `PageType`.
enum PageType: Int32 {
  case data = 0
  case index, dictionary, dataV2
}
