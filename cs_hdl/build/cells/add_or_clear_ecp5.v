// o = a + b, or 0, in the carry cells of an ECP5 alone.
//
// Each half of a CCU2C is a LUT of four inputs, and an adder needs two of them: another one clears, which Yosys would do
// in a LUT behind each bit. A half gives S = L ^ CIN and COUT = L ? CIN : G, where L is its table over D, C, B, A, and G
// the same table with D = C = 0. So L has to be "propagate", and G "generate" wherever L is 0.
module cs_add_or_clear #(
    parameter WIDTH = 8
) (
    input wire clear,
    input wire [WIDTH-1:0] a,
    input wire [WIDTH-1:0] b,
    output wire [WIDTH-1:0] o
);
    localparam PAIRS = (WIDTH + 1) / 2;
    // A = clear, B = b, C = a, D = 1: L = clear ? 0 : a ^ b, and G = clear ? 0 : b.
    localparam [15:0] TABLE = 16'h1444;
    wire [2*PAIRS-1:0] x = a;
    wire [2*PAIRS-1:0] y = b;
    wire [2*PAIRS-1:0] sum;
    wire [PAIRS:0] carry;
    assign carry[0] = 1'b0;
    genvar i;
    generate
        for (i = 0; i < PAIRS; i = i + 1) begin : pair
            CCU2C #(.INIT0(TABLE), .INIT1(TABLE), .INJECT1_0("NO"), .INJECT1_1("NO")) add (
                .CIN(carry[i]),
                .A0(clear), .B0(y[2*i]), .C0(x[2*i]), .D0(1'b1),
                .A1(clear), .B1(y[2*i+1]), .C1(x[2*i+1]), .D1(1'b1),
                .S0(sum[2*i]), .S1(sum[2*i+1]), .COUT(carry[i+1])
            );
        end
    endgenerate
    assign o = sum[WIDTH-1:0];
endmodule
