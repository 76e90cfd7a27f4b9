// o = a * b with a register at the inputs and one at the output: two cycles in which en is high.
// A build for a device may put its own version of this module in its place.
module cs_registered_multiplier #(
    parameter A_WIDTH = 8,
    parameter A_SIGNED = 0,
    parameter B_WIDTH = 8,
    parameter B_SIGNED = 1
) (
    input wire clk,
    input wire en,
    input wire [A_WIDTH-1:0] a,
    input wire [B_WIDTH-1:0] b,
    output wire [A_WIDTH+B_WIDTH-1:0] o
);
    reg [A_WIDTH-1:0] a_register;
    reg [B_WIDTH-1:0] b_register;
    // Yosys' ice40_dsp would take a second register behind this one for a register within the multiplier, and leave
    // it where it was as well: two drivers of one wire. It does not look behind what is to be kept.
    (* keep *) reg [A_WIDTH+B_WIDTH-1:0] product;
    wire a_sign = (A_SIGNED != 0) & a_register[A_WIDTH-1];
    wire b_sign = (B_SIGNED != 0) & b_register[B_WIDTH-1];
    // Modulo 2^(A_WIDTH+B_WIDTH) the product of the extended factors is right, whatever their signs.
    wire signed [A_WIDTH+B_WIDTH-1:0] a_extended = {{B_WIDTH{a_sign}}, a_register};
    wire signed [A_WIDTH+B_WIDTH-1:0] b_extended = {{A_WIDTH{b_sign}}, b_register};
    always @(posedge clk)
        if (en) begin
            a_register <= a;
            b_register <= b;
            product <= a_extended * b_extended;
        end
    assign o = product;
endmodule
