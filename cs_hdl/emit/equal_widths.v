// Rewrites Yosys's cells so that both operands and the result of each operator have one width:
// then the Verilog says what is extended, and how, and no tool has to warn of it. (An operand of
// width 0 is a constant 0 from which all sign bits were trimmed.)

(* techmap_celltype = "$logic_not" *)
module _to_comparison (A, Y);
  parameter A_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  assign Y = A == {A_WIDTH{1'b0}};
endmodule

// Operators modulo 2**Y_WIDTH: what an operand has beyond that does not matter.
(* techmap_celltype = "$add $sub $mul $and $or $xor $xnor" *)
module _binary (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH && B_WIDTH == Y_WIDTH;
  wire [Y_WIDTH-1:0] a;
  wire [Y_WIDTH-1:0] b;
  generate
    // As in Verilog, an operator is signed only where both operands are.
    if (A_WIDTH == 0) assign a = 0;
    else if (A_SIGNED && B_SIGNED) assign a = $signed(A);
    else assign a = A;
    if (B_WIDTH == 0) assign b = 0;
    else if (A_SIGNED && B_SIGNED) assign b = $signed(B);
    else assign b = B;
    case (_TECHMAP_CELLTYPE_)
      "$add": assign Y = a + b;
      "$sub": assign Y = a - b;
      "$mul": assign Y = a * b;
      "$and": assign Y = a & b;
      "$or": assign Y = a | b;
      "$xor": assign Y = a ^ b;
      "$xnor": assign Y = a ~^ b;
    endcase
  endgenerate
endmodule

(* techmap_celltype = "$not $neg" *)
module _unary (A, Y);
  parameter A_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH;
  wire [Y_WIDTH-1:0] a;
  generate
    if (A_WIDTH == 0) assign a = 0;
    else if (A_SIGNED) assign a = $signed(A);
    else assign a = A;
    case (_TECHMAP_CELLTYPE_)
      "$not": assign Y = ~a;
      "$neg": assign Y = -a;
    endcase
  endgenerate
endmodule

(* techmap_celltype = "$lt $le $gt $ge $eq $ne" *)
module _comparison (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  localparam WIDTH = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == B_WIDTH && Y_WIDTH == 1;
  wire result;
  assign Y = result;
  generate
    if (A_SIGNED && B_SIGNED) begin
      wire signed [WIDTH-1:0] a;
      wire signed [WIDTH-1:0] b;
      if (A_WIDTH == 0) assign a = 0;
      else assign a = $signed(A);
      if (B_WIDTH == 0) assign b = 0;
      else assign b = $signed(B);
      case (_TECHMAP_CELLTYPE_)
        "$lt": assign result = a < b;
        "$le": assign result = a <= b;
        "$gt": assign result = a > b;
        "$ge": assign result = a >= b;
        "$eq": assign result = a == b;
        "$ne": assign result = a != b;
      endcase
    end else begin
      wire [WIDTH-1:0] a;
      wire [WIDTH-1:0] b;
      if (A_WIDTH == 0) assign a = 0;
      else assign a = A;
      if (B_WIDTH == 0) assign b = 0;
      else assign b = B;
      case (_TECHMAP_CELLTYPE_)
        "$lt": assign result = a < b;
        "$le": assign result = a <= b;
        "$gt": assign result = a > b;
        "$ge": assign result = a >= b;
        "$eq": assign result = a == b;
        "$ne": assign result = a != b;
      endcase
    end
  endgenerate
endmodule

// The amount of a shift has a width of its own. ($shift is Amaranth's bit_select; with a signed
// amount it could also shift left: it stays as it is.)
(* techmap_celltype = "$shl $shr $sshl $sshr $shift $shiftx" *)
module _shift (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";
  localparam WIDTH = A_WIDTH > Y_WIDTH ? A_WIDTH : Y_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH || A_WIDTH == 0 || B_SIGNED;
  wire [WIDTH-1:0] result;
  assign Y = result[Y_WIDTH-1:0];
  generate
    if (A_SIGNED) begin
      wire signed [WIDTH-1:0] a = $signed(A);
      case (_TECHMAP_CELLTYPE_)
        "$shl", "$sshl": assign result = a << B;
        "$sshr": assign result = a >>> B;
        default: assign result = a >> B;
      endcase
    end else begin
      wire [WIDTH-1:0] a = A;
      case (_TECHMAP_CELLTYPE_)
        "$shl", "$sshl": assign result = a << B;
        default: assign result = a >> B;
      endcase
    end
  endgenerate
endmodule
